"""Tensors, plain containers and JSON as bytes that say whether they are whole."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from typing import Any

CHECKSUM = 64  # hex digits
SEAL, SHORT, END = "sha256", 16, b"\n"  # the key of a JSON file's own, how many hex digits of it are kept, and its end


def dump_with_checksum(content: dict[str, Any]) -> bytes:
    """Returns the zip archive that torch.save makes, with its SHA-256 as the comment; torch.load reads it unchanged."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    archive = buffer.getvalue()  # ends in the length of its comment, 0
    return archive[:-2] + CHECKSUM.to_bytes(2, "little") + hashlib.sha256(archive).hexdigest().encode()


def load_with_checksum(content: bytes | None) -> dict[str, Any] | None:
    """Loads tensors and plain containers without running code of the file; None if it is damaged.

    torch does not check the sums within the archive.
    """
    import torch

    if content is None:
        return None
    archive = content[: -CHECKSUM - 2] + bytes(2)
    if hashlib.sha256(archive).hexdigest().encode() != content[-CHECKSUM:]:
        return None  # damaged from outside: training goes on from what else there is
    try:
        return torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        return None  # more than tensors and plain containers


def with_checksum(content: Any) -> bytes:
    """Returns JSON with its SHA-256: an object has it as its last key, a list as its last element; a line break ends it.

    Anything else stays as it is. Nothing else of JSON would tell a digit of a figure that has changed.
    """
    seal = {SEAL: _digest(content)}
    if isinstance(content, dict):
        content = {**content, **seal}
    elif isinstance(content, list):
        content = [*content, seal]
    else:
        return json.dumps(content).encode()
    return json.dumps(content, indent=1).encode() + END


def without_checksum(text: bytes) -> Any:
    """Returns JSON without its checksum. A file without one, from before there were any, is believed.

    Raises ValueError for damage.
    """
    content, told = json.loads(text), None
    if isinstance(content, dict):
        told = content.pop(SEAL, None)
    elif isinstance(content, list) and content and isinstance(content[-1], dict) and content[-1].keys() == {SEAL}:
        told = content.pop()[SEAL]
    if (told is not None or text.endswith(END)) and told != _digest(content):
        raise ValueError("its content is not what was written")
    return content


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, indent=1).encode()).hexdigest()[:SHORT]
