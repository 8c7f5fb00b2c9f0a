"""The work of a fusion: an ablation's encoders, whose weights in the ensemble are chosen before the test split is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from skelray.results.book import Book
from skelray.results.rows import Row, complete
from skelray.runner.ablation import AblationWork
from skelray.runner.context import Context
from skelray.runner.job import Job
from skelray.runner.work import Planned, Searches
from skelray.search.fusion_weights import chosen_ensemble
from skelray.store.store import StoredTrial
from skelray.study.cell import Cell, Fused
from skelray.study.fusion import CHOSEN, Fusion, close_ensemble


class FusionWork(AblationWork):
    """Trains the streams' encoders as an ablation does; the table has the ensembles under published and chosen weights."""

    def __init__(self, fusion: Fusion, context: Context) -> None:
        super().__init__(fusion, context)
        self._fusion = fusion.at_scale(context.scale)

    def rows_of_cell(self, cell: Cell, stored: StoredTrial) -> list[Row]:
        """Returns no rows: the table is about ensembles alone."""
        return []

    def weighed(self, one: Fused, look: bool = False) -> list[Fused]:
        """Returns the ensemble under the published and the chosen weights. look: weights not chosen yet are chosen now."""
        ensemble = chosen_ensemble(self._fusion, one, self._context.store, self._context.fingerprint(one.trial), look)
        return (
            [close_ensemble(one)] if ensemble is None else [one, replace(one, arm=CHOSEN, ensemble=ensemble, published={})]
        )

    def missing(self) -> Iterator[Job | None]:
        """Yields the streams, then what reads the test split of every ensemble whose weights are chosen."""
        yield from self._handed(job for job in self.jobs if not complete(job.trial, job.stored))
        yield from self._settled()
        yield from self._handed(self._read())

    def _read(self) -> Iterator[Job]:
        """Chooses the weights. A stream that ensembles share is one job."""
        found = [one for each in self.ensembles for one in self.weighed(each, look=True) if one.arm == CHOSEN]
        cells = {
            (self._context.stored(cell.trial).id, cell.trial.epochs): cell for one in found for cell in one.members.values()
        }
        for number, cell in enumerate(cells.values()):
            stored = self._context.stored(cell.trial)
            if not complete(cell.trial, stored):
                yield Job(-1 - number, f"{cell.name} (test)", cell.trial, stored, final=True)

    def close(self, book: Book) -> None:
        for number in range(len(self.ensembles)):
            self._put_ensemble(number, book)

    def planned(self) -> list[Planned]:
        """Returns the streams' trials, with what is read on the test split once the weights are chosen."""
        cells = self._fusion.as_ablation().cells(self._context.scale)
        return [Planned(cell.name, self._context.pin_targets(cell.trial)) for cell in cells]

    def searches(self) -> Searches:
        missing = sum(all(found.arm != CHOSEN for found in self.weighed(one)) for one in self.ensembles)
        return Searches(missing, self._fusion.samples)
