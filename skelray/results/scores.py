"""The stored scores of a row of a table, of a trial or an ensemble: top-k, per-class accuracy, the confusion matrix."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelray.checks import UserError
from skelray.data.dataset import SkeletonDataset, open_dataset
from skelray.ensemble import Arrays
from skelray.evaluation import Evaluation
from skelray.evaluation.names import setting_text
from skelray.identity.canonical import canonical
from skelray.names import transfer_in
from skelray.store.ensembles import open_ensemble
from skelray.store.store import Store, evaluated

VOTING = ("KNN", "Retrieval")
RESULT = re.compile(r"(\d+)-([0-9a-f]{16})\.json")


@dataclass(frozen=True, eq=False)
class Scores:
    """Stored scores (N, classes), the larger the likelier. labels: (N,). samples: (N,) names as in the prepared data.

    votes: the scores are votes, of nearest neighbours, none negative; else they are logits.
    """

    scores: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    samples: np.ndarray
    votes: bool = False

    def best(self, k: int = 1) -> np.ndarray:
        """Returns (N, k) the classes of the k best scores, best first; ties go to the lower class number."""
        if k < 1:
            raise UserError(f"k {k}: at least the best class is needed")
        return np.argsort(-self.scores, axis=1, kind="stable")[:, :k]

    def right(self, k: int = 1) -> np.ndarray:
        """Returns (N,) whether a sample's class is among the k best."""
        return (self.best(k) == self.labels[:, None]).any(axis=1)

    def top(self, k: int = 1) -> float:
        """Returns the share of samples that are right."""
        return float(self.right(k).mean())

    def per_class(self) -> pd.DataFrame:
        """Returns a row for each class that has samples: their number, top1, top5, and what they are most often taken for.

        confused: the most frequent wrong class and its share; nothing where none is wrong.
        """
        confusion = self.confusion().to_numpy()
        frame = pd.DataFrame({"label": self.labels, "top1": self.right(1), "top5": self.right(5)})
        found = frame.groupby("label").agg(samples=("top1", "size"), top1=("top1", "mean"), top5=("top5", "mean"))
        found.insert(0, "class", [self.classes[label] for label in found.index])
        wrong = confusion * (1 - np.eye(len(confusion), dtype=int))
        worst, most = wrong.argmax(axis=1)[found.index], wrong.max(axis=1)[found.index]
        found["confused"] = [self.classes[w] if n else "" for w, n in zip(worst, most, strict=True)]
        return found.assign(share=most / found["samples"])

    def confusion(self, k: int = 1) -> pd.DataFrame:
        """Returns (classes, classes) counts: rows are true classes, columns predicted ones, both by name.

        k: a sample is taken for its own class if that is among the k best, and for the best one otherwise.
        """
        predicted = np.where(self.right(k), self.labels, self.best(1)[:, 0])
        counts = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        np.add.at(counts, (self.labels, predicted), 1)
        names = [pd.Index(self.classes, name=name) for name in ("true", "predicted")]
        return pd.DataFrame(counts, index=names[0], columns=names[1])


def scores(
    trial: str | Mapping[str, Any] | pd.Series,
    evaluation: str | Evaluation | None = None,
    *,
    epochs: int | None = None,
    store: Path | str = "store",
    data: Path | str = "data",
) -> Scores:
    """Returns the stored scores of a trial or an ensemble under an evaluation.

    trial: its id, the beginning of it, or a row of a table, which brings evaluation and epochs along. evaluation: its name
    in tables, or the evaluation itself. Raises UserError, in one sentence, for what there is not or is there twice.
    """
    own: str | None = None  # the row's whole trial, which tells settings of one name apart
    if not isinstance(trial, str):
        row: Mapping[str, Any] = dict(trial)
        trial, epochs = str(row["trial"]), int(row["epochs"]) if epochs is None else epochs
        own = row.get("spec") if evaluation is None else None
        evaluation = str(row["evaluation"]) if evaluation is None else evaluation
    if evaluation is None:
        raise UserError(f"trial {trial!r}: name the evaluation whose scores are wanted, as 'linear'")
    where = Store(store)
    id = _id(where, trial)
    name = _name(where, id, evaluation, epochs, own)
    ensemble = open_ensemble(where, id)
    arrays = where.trial(id).arrays(name) if ensemble is None else ensemble.arrays(name)
    if arrays is None:
        raise UserError(f"trial {id} has figures of {evaluation!r} in {where.root}, but no scores of samples")
    of = id if ensemble is None else next(iter(ensemble.members.values()))
    return _named(
        arrays, _dataset(where, of, name, Path(data), arrays), _are_votes(where.trial(of).result_by_name(name) or {})
    )


def stored_arrays(store: Store, id: str, evaluation: str, epochs: int, spec: str | None = None) -> Arrays | None:
    """Returns the stored arrays of a row's evaluation, fused where the row is an ensemble; None where there are none.

    spec: the row's, which tells settings of one name apart. Raises UserError where there is no such evaluation.
    """
    name, ensemble = _name(store, id, evaluation, epochs, spec), open_ensemble(store, id)
    return store.trial(id).arrays(name) if ensemble is None else ensemble.arrays(name)


def _id(store: Store, trial: str) -> str:
    """Returns the one id that begins like this."""
    found = [name for name in store.folders() if name.startswith(trial) and re.fullmatch("[0-9a-f]{16}", name)]
    if trial in found:
        return trial
    if len(found) != 1:
        what = f"{len(found)} trials whose ids begin with" if found else "no trial"
        hint = "give more digits" if found else "`skelray scores STUDY` lists those of a study"
        raise UserError(f"{store.root} has {what} {trial!r}: {hint}")
    return found[0]


def _name(store: Store, id: str, evaluation: str | Evaluation, epochs: int | None, spec: str | None) -> str:
    """Returns the name of the stored result that is meant. spec: a row's, whose evaluations are preferred."""
    asked = json.loads(spec or "{}").get("evaluations", [])
    found: dict[str, tuple[str, int]] = {}
    apart: dict[str, int] = {}  # of several settings of one name, as a table tells them apart: "linear lr=3"
    for file in (file.removesuffix(".json") for file in store.names(id) if RESULT.fullmatch(file)):
        if (result := store.trial(id).result_by_name(file)) is not None:
            at = int(file.partition("-")[0])
            found[file] = (result["evaluation"], at)
            known = [result["settings"]] if "settings" in result else asked
            if any(_says(evaluation, result["evaluation"], one) for one in known if file == evaluated(at, one)):
                apart[file] = at
    wanted = evaluation if isinstance(evaluation, str) else evaluation.name
    same = {name: at for name, (called, at) in found.items() if called == wanted} or apart
    same = {name: at for name, at in same.items() if epochs in (None, at)}
    if not isinstance(evaluation, str):
        same = {name: at for name, at in same.items() if name == evaluated(at, canonical(evaluation))}
    same = {name: at for name, at in same.items() if name in {evaluated(at, one) for one in asked}} or same
    if len(same) == 1:
        return next(iter(same))
    after = "" if epochs is None else f" after {epochs} epochs"
    if not same:
        there = ", ".join(sorted({f"{called} after {at} epochs" for called, at in found.values()})) or "none"
        raise UserError(f"trial {id} has no evaluation {wanted!r}{after} in {store.root}; it has {there}")
    lengths = sorted(set(same.values()))
    if len(lengths) > 1:
        raise UserError(f"trial {id} has {wanted!r} after {', '.join(map(str, lengths))} epochs: say which with epochs")
    raise UserError(f"trial {id} has {wanted!r} in {len(same)} settings: give the evaluation itself, as Linear(lr=3.0)")


def _says(wanted: str | Evaluation, called: str, settings: dict[str, Any]) -> bool:
    """Returns whether a name tells these settings from others of the same name."""
    if not isinstance(wanted, str) or not wanted.startswith(f"{called} "):
        return False
    known = {**settings, **settings.get("evaluation", {})}
    told = [word.partition("=") for word in wanted.removeprefix(f"{called} ").split()]
    return all(key in known and setting_text(known[key]) == value for key, _, value in told)


def _dataset(store: Store, id: str, name: str, data: Path, arrays: Arrays) -> SkeletonDataset:
    """Returns the prepared data that a trial's evaluation scored: the trial's own or, of a transfer, the other's."""
    benchmark, fingerprint = _scored_on(store, id, name)
    dataset = open_dataset(data, benchmark)
    if fingerprint is None:
        if not _fits(arrays, dataset):
            raise UserError(f"trial {id} was evaluated on another {benchmark} than {data / benchmark} is: its labels differ")
    elif fingerprint != dataset.fingerprint:
        was = f"{fingerprint[:12]} and not {dataset.fingerprint[:12]}"
        raise UserError(
            f"trial {id} was evaluated on another {benchmark} than {data / benchmark} is: its fingerprint is {was}"
        )
    return dataset


def _fits(arrays: Arrays, dataset: SkeletonDataset) -> bool:
    """Returns whether the rows are there and have these labels."""
    rows, labels = arrays["rows"], dataset.samples["label"].to_numpy()
    return rows.max(initial=-1) < len(labels) and np.array_equal(labels[rows], arrays["labels"])


def _scored_on(store: Store, id: str, name: str) -> tuple[str, str | None]:
    """Returns benchmark and fingerprint; for results stored before they named them, a transfer's from the trial's spec."""
    spec, result = store.trial(id).spec(), store.trial(id).result_by_name(name)
    if spec is None or result is None:
        raise UserError(f"trial {id} has no record of what it is, or of {name}, in {store.root}: run its study again")
    if found := result.get("test"):
        return found["benchmark"], found["data"]
    target, _ = transfer_in(spec["trial"].get("evaluations"), result["evaluation"])
    return (spec["trial"]["benchmark"], spec["data"]) if target is None else (target, None)


def _are_votes(result: Mapping[str, Any]) -> bool:
    """Returns whether an evaluation's scores are votes; for results stored before they told, by the kind of evaluation."""
    settings = result.get("settings", {})
    kind = settings.get("evaluation", settings).get("type", "")
    return bool(result.get("votes", kind in VOTING or str(result.get("evaluation", "")).startswith(("knn", "retrieval"))))


def _named(arrays: Arrays, dataset: SkeletonDataset, votes: bool) -> Scores:
    samples = dataset.samples["name"].to_numpy()[arrays["rows"]]
    return Scores(arrays["scores"], arrays["labels"], dataset.classes, samples, votes)
