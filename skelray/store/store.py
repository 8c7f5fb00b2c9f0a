"""Encoders, scores and checkpoints by content id, on a local folder or any pyarrow file system.

<root>/<trial id>/spec.json               what the id stands for
                  checkpoint.pt           the latest whole training state, and the history up to it
                  checkpoint.json         that history alone, for tables
                  checkpoint-<epochs>.pt  the state of a shorter trial that began after a longer one had gone on
                  encoder-<epochs>.pt     query encoder and projector at the end of a trial of so many epochs
                  encoder-<epochs>.json   its history alone
                  <epochs>-<evaluation>.npz / .json   scores with labels, and the figures from them; .png: a picture
                  record-<epochs>.json    the history and the figures once all are there, so that one read has them
                  failure-<epochs>.json   why the last attempt at so many epochs failed; gone once one succeeds
<root>/weights/<digest>.pt                encoders imported from elsewhere
<root>/excerpts                           what a report shows of test sets (``excerpts``)
<root>/sweeps, fusions                    ledgers of searches, and weights that were chosen
"""

from __future__ import annotations

from typing import Any

from skelray.checks import UserError
from skelray.store import records
from skelray.store.checksum import dump_with_checksum
from skelray.store.files import Files, StoreError
from skelray.store.stored_trial import StoredTrial, evaluated

__all__ = ["Store", "StoreError", "StoredTrial", "evaluated"]


class Store(Files):
    """Files that hold trials by id, and imported encoders by digest."""

    def save_weights(self, digest: str, content: dict[str, Any]) -> None:
        """Keeps an encoder from elsewhere. content: as for StoredTrial.save_encoder."""
        self.write(f"weights/{digest}.pt", dump_with_checksum(content))

    def imported_weights(self, digest: str) -> dict[str, Any]:
        """Raises UserError where there are none of this digest."""
        content = self.read_packed(f"weights/{digest}.pt", records.is_encoder)
        if content is None:
            raise UserError(f"{self.root} has no weights {digest}: `skelray import-weights` puts them there")
        return content

    def trial(self, id: str) -> StoredTrial:
        """Returns the place of a trial, whether anything is there or not."""
        return StoredTrial(self, id)
