"""Structs of a .mat file, read by SciPy in a process of its own: a malformed file can crash its reader.

That process runs this file alone, which therefore imports nothing of skelray: it may not be installed.
"""

from __future__ import annotations

import importlib.util
import io
import struct
import subprocess
import sys
import zlib
from typing import IO

import numpy as np

SECONDS, BYTES = 60, 1 << 32  # what the other process may take
VARIABLE, PACKED = 14, 15  # types of the elements of a .mat file
HEAD, MOST_VARIABLES = 1 << 14, 1000  # bytes of a variable in which the names of its fields stand; variables looked at


def names_fields(stream: IO[bytes], fields: tuple[str, ...]) -> bool:
    """Returns whether a .mat file (version 5 to 7.2) has a variable with all these fields, by the variables' headers.

    Reads nothing else. Raises what the stream raises.
    """
    header = stream.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:])
    for _ in range(MOST_VARIABLES if order else 0):
        tag = stream.read(8)
        if len(tag) < 8:
            break
        kind, size = struct.unpack(f"{order}II", tag)
        if kind not in (VARIABLE, PACKED):
            break
        start = stream.tell()
        head = stream.read(min(size, HEAD))
        if kind == PACKED:
            try:
                head = zlib.decompressobj().decompress(head, HEAD)
            except zlib.error:
                break
        if all(field.encode() in head for field in fields):
            return True
        stream.seek(start + size)
    return False


def structs(content: bytes, fields: tuple[str, ...]) -> list[dict[str, np.ndarray]]:
    """Returns the fields of every struct that has them all, in every cell of a .mat file (version 7.2 or before).

    Raises ValueError if it is no such file, ModuleNotFoundError without SciPy.
    """
    if importlib.util.find_spec("scipy") is None:
        raise ModuleNotFoundError("scipy is not installed", name="scipy")
    try:
        command = [sys.executable, "-P", "-W", "ignore", __file__, *fields]
        done = subprocess.run(command, input=content, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"reading it takes more than {SECONDS} s") from error
    if done.returncode:
        raise ValueError((done.stderr.decode(errors="replace").strip().splitlines() or ["its reader crashed"])[-1])
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as stored:
        count = len(stored.files) // len(fields)
        return [{field: stored[f"{field}{number}"] for field in fields} for number in range(count)]


def main() -> None:
    """Runs in the other process: .mat on standard input, .npz on standard output."""
    import resource

    from scipy.io import loadmat

    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    fields = sys.argv[1:]
    stored = loadmat(io.BytesIO(sys.stdin.buffer.read()), simplify_cells=True)
    cells = [value for value in stored.values() if isinstance(value, list | np.ndarray)]
    found = [one for cell in cells for one in np.ravel(cell) if isinstance(one, dict) and set(fields) <= set(one)]
    arrays = {f"{field}{number}": np.asarray(one[field], np.float64) for number, one in enumerate(found) for field in fields}
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    sys.stdout.buffer.write(out.getvalue())


if __name__ == "__main__":
    main()
