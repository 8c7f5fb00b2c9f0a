"""Whether a node has the software of the driver: other versions, or other code of skelray, may give other numbers.

Its functions travel to nodes by value, as the skelray there may be another; so they import what they use.
"""

from __future__ import annotations

from collections.abc import Mapping

COMPARED = ("skelray", "torch", "numpy", "scipy", "scikit-learn")  # Ray itself compares its version and Python's
CODE = "code"  # the digest of skelray's own


def installed() -> dict[str, str]:
    """Returns the versions of what decides numbers, without their build (2.7.1+cpu is 2.7.1), and skelray's code."""
    import hashlib
    import importlib.util
    from importlib import metadata
    from pathlib import Path

    found = {}
    for name in COMPARED:
        try:
            found[name] = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            found[name] = "none"
    spec, digest = importlib.util.find_spec("skelray"), hashlib.sha256()
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    for file in sorted(folder.rglob("*.py")) if spec is not None else []:
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return {**found, CODE: digest.hexdigest()}


def why_other(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Returns how what is there differs from the driver's, in a sentence; empty if it does not."""
    names = [name for name in here if name != CODE and there.get(name) != here[name]]
    if names:
        other, own = (", ".join(f"{name} {side.get(name, 'none')}" for name in names) for side in (there, here))
        return f"it has {other}, and the driver has {own}: install the same on both"
    if there.get(CODE) != here.get(CODE):
        return f"its skelray {there.get('skelray')} is other code than the driver's: install the same on both"
    return ""
