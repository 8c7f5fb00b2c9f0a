"""Tensors and plain containers as bytes that say whether they are whole."""

from __future__ import annotations

import hashlib
import io
import pickle
from typing import Any

CHECKSUM = 64  # hex digits


def dump_with_checksum(content: dict[str, Any]) -> bytes:
    """What torch.save makes, a zip archive, with its SHA-256 as the archive's comment; torch.load reads it as it is."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    archive = buffer.getvalue()  # ends in the length of its comment, 0
    return archive[:-2] + CHECKSUM.to_bytes(2, "little") + hashlib.sha256(archive).hexdigest().encode()


def load_with_checksum(content: bytes | None) -> dict[str, Any] | None:
    """Tensors and plain containers only: no code is run by reading a checkpoint. None where it is damaged.

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
