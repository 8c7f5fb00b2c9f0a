"""Puts encoders of the released code into a store."""

from __future__ import annotations

from skelray.released.checkpoint import Imported
from skelray.store.store import Store


def keep_imported(imported: Imported, store: Store) -> None:
    """Puts the encoder where trials find it by its digest."""
    store.save_weights(imported.digest, {"model": imported.query, "masks": imported.masks, "history": []})
