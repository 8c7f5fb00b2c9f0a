"""Ensembles of trials that a store holds: their figures are kept, their scores are made from the streams' each time."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from typing import Any

import torch

from skelray.ensemble import Arrays, Ensemble
from skelray.evaluation import Evaluation, EvaluationResult, HasFused, top_k_accuracy
from skelray.identity.canonical import digest
from skelray.store.store import Store
from skelray.store.stored_trial import npz


class StoredEnsemble:
    """An ensemble in a store. members: a trial id for each stream."""

    def __init__(self, store: Store, members: Mapping[str, str], ensemble: Ensemble) -> None:
        self.store, self.members, self.ensemble = store, dict(members), ensemble
        self.stored = store.trial(digest({"ensemble": self.spec()}))
        self.id = self.stored.id

    def spec(self) -> list[dict[str, Any]]:
        """Returns what the id stands for, as JSON."""
        weights = self.ensemble.weights.items()
        return [{"stream": stream, "trial": self.members[stream], "weight": weight} for stream, weight in weights]

    def arrays(self, name: str) -> Arrays | None:
        """Returns the fused scores, labels and rows of an evaluation, by ``Store``'s name of it; None if a stream has none.

        Raises UserError where the streams' scores are of different samples.
        """
        streams = {}
        for stream, id in self.members.items():
            arrays = self.store.trial(id).arrays(name)
            if arrays is None or "scores" not in arrays:
                return None
            streams[stream] = arrays
        return self.ensemble.fuse(streams)

    def result(self, name: str, evaluation: Evaluation | None = None, seed: int = 0) -> dict[str, Any] | None:
        """Returns the figures of an evaluation, kept until a stream's are made again; None if a stream has no scores.

        evaluation, seed: of what tells itself what streams are side by side, as clustering does.
        """
        if (kept := self.stored_result(name)) is not None:
            return kept
        results = self._of_streams(name)
        if results is None:
            return None
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        made = self._side_by_side(name, evaluation, seed) if isinstance(evaluation, HasFused) else self._fused(name)
        if made is None:  # of an evaluation that has no scores, or that kept no features
            return None
        result = {
            **results[0],  # device and versions: what the figures depend on is what the streams have stored
            "files": list(made.files),
            "metrics": dict(made.metrics),
            "seconds": time.perf_counter() - clock,
            "started": started.isoformat(),
            "of": [one["started"] for one in results],  # when the streams' were made
        }
        self.stored.save_spec({"ensemble": self.spec()})
        files = {**made.files, **({"npz": npz(made.arrays)} if made.arrays else {})}
        for ending, content in files.items():
            self.store.write(f"{self.id}/{name}.{ending}", content)
        self.store.write_json(f"{self.id}/{name}.json", result)
        return result

    def stored_result(self, name: str) -> dict[str, Any] | None:
        """Returns the stored figures of an evaluation if they were made of the streams' current ones; else None."""
        results, kept = self._of_streams(name), self.stored.result_by_name(name)
        if results is None or kept is None or kept.get("of") != [one["started"] for one in results]:
            return None
        return kept

    def _of_streams(self, name: str) -> list[dict[str, Any]] | None:
        """Returns the streams' figures; None if one has none. Scores are written before figures, so nothing is read half."""
        found = [self.store.trial(id).result_by_name(name) for id in self.members.values()]
        results = [result for result in found if result is not None]
        return results if len(results) == len(found) else None

    def _fused(self, name: str) -> EvaluationResult | None:
        arrays = self.arrays(name)
        if arrays is None:
            return None
        scores, labels = torch.from_numpy(arrays["scores"]), torch.from_numpy(arrays["labels"])
        return EvaluationResult(metrics={"top1": top_k_accuracy(scores, labels), "top5": top_k_accuracy(scores, labels, 5)})

    def _side_by_side(self, name: str, evaluation: HasFused, seed: int) -> EvaluationResult | None:
        streams = {stream: self.store.trial(id).arrays(name) for stream, id in self.members.items()}
        there = {stream: arrays for stream, arrays in streams.items() if arrays is not None}
        return evaluation.fused(there, seed) if len(there) == len(streams) else None


def open_ensemble(store: Store, id: str) -> StoredEnsemble | None:
    """Returns the ensemble of this id; None where it is a trial, or nothing."""
    spec = store.trial(id).spec() or {}
    if "ensemble" not in spec:
        return None
    parts = spec["ensemble"]
    members = {part["stream"]: part["trial"] for part in parts}
    return StoredEnsemble(store, members, Ensemble({part["stream"]: part["weight"] for part in parts}))
