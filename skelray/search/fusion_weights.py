"""The search for fusion weights: Optuna draws points, and numpy judges all of them on held-out scores.

A search takes seconds and is decided by its content alone. So its ledger is one record, written when it is over: a
search that was killed starts again and ends the same.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import optuna

from skelray.checks import UserError
from skelray.contained import call_contained
from skelray.ensemble import Arrays, Ensemble, whole_numbers
from skelray.identity.canonical import canonical, digest
from skelray.store.ensembles import StoredEnsemble
from skelray.store.store import Store, evaluated
from skelray.study.cell import Fused
from skelray.study.fusion import Fusion, without_test

MOST_LEADS = 1 << 20  # numbers that are multiplied out at once: 8 MiB


class HeldOutScores:
    """Streams' scores of the same samples, arranged so that the top-1 of many weights is one small product.

    A class that no stream scores above the sample's own never wins, whatever the weights, since none is negative: only the
    other pairs of a sample and a class are kept, with the own class's lead in each stream.
    """

    def __init__(self, streams: Mapping[str, Arrays]) -> None:
        first = next(iter(streams.values()))
        labels = first["labels"]
        scores = np.stack([arrays["scores"] for arrays in streams.values()]).astype(np.float64)  # (S, N, C)
        own = scores[:, np.arange(len(labels)), labels]
        leads = own[:, :, None] - scores  # (S, N, C)
        later = np.arange(scores.shape[2]) > labels[:, None]  # a tie goes to the lower class number
        rivals = ~np.where(later, (leads >= 0).all(axis=0), (leads > 0).all(axis=0))
        rivals[np.arange(len(labels)), labels] = False
        sample, _ = np.nonzero(rivals)
        self.samples, self.leads = len(labels), np.ascontiguousarray(leads[:, rivals])  # (S, pairs)
        self.enough = np.where(later[rivals], 0.0, np.nextafter(0.0, 1.0))  # the least lead that wins
        self.starts = np.flatnonzero(np.diff(sample, prepend=-1))  # of each sample's pairs
        self.certain = self.samples - len(self.starts)  # right under all weights

    def top1(self, points: np.ndarray) -> np.ndarray:
        """Returns (P,) the top-1 of (P, S) weights of at least 0, in the order of the streams; 0 for weights that are all 0.

        They enter as whole numbers, as an ensemble's do, so that what ties there ties here.
        """
        whole = np.array([whole_numbers(point)[0] if any(point) else point for point in points.tolist()])  # (P, S)
        found = np.full(len(points), float(self.certain))
        if len(self.starts):
            some = max(1, MOST_LEADS // self.leads.shape[1])  # of the points, at once
            for at in range(0, len(points), some):
                ahead = whole[at : at + some] @ self.leads >= self.enough  # (some, pairs)
                found[at : at + some] += np.logical_and.reduceat(ahead, self.starts, axis=1).sum(axis=1)
        return np.where(points.any(axis=1), found / self.samples, 0.0)


def search_weights(fusion: Fusion, streams: Mapping[str, Arrays]) -> tuple[dict[str, float], float]:
    """Chooses the first of the points with the best top-1 on these scores; returns it and that top-1."""
    held_out = HeldOutScores({stream: streams[stream] for stream in fusion.published})
    points = list(_points(fusion))
    values = held_out.top1(np.array([[point[stream] for stream in fusion.published] for point in points], dtype=np.float64))
    best = int(values.argmax())
    return points[best], float(values[best])


def _points(fusion: Fusion) -> Iterator[dict[str, float]]:
    """Yields the published point, then those that Optuna draws."""
    yield dict(fusion.published)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=fusion.sampler.seed))
    for _ in range(fusion.samples - 1):
        yield weights_of(fusion, drawn.ask())


def weights_of(fusion: Fusion, trial: Any) -> dict[str, float]:
    """Returns the weights of a point of the space.

    Raises UserError unless they make an ensemble of the published streams.
    """
    found = call_contained(fusion.space, trial)
    if not isinstance(found, Mapping) or set(found) != set(fusion.published):
        raise UserError(f"space() returns {found!r}, not a weight for each of {', '.join(fusion.published)}")
    if wrong := [stream for stream, weight in found.items() if not 0 <= weight < float("inf")]:
        raise UserError(f"space() gives {wrong[0]!r} the weight {found[wrong[0]]}: a number of at least 0 is needed")
    return {stream: float(found[stream]) for stream in fusion.published}


def example_weights(fusion: Fusion) -> dict[str, float]:
    """Returns any point of the space, recorded nowhere."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return weights_of(fusion, optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask())


def _is_choice(content: Any, fusion: Fusion) -> bool:
    """Returns whether stored JSON is the choice of a search: weights of an ensemble of the published streams."""
    try:
        return set(Ensemble(content["weights"]).weights) == set(fusion.published)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def chosen_ensemble(fusion: Fusion, one: Fused, store: Store, data: str, look: bool = True) -> Ensemble | None:
    """Returns the ensemble that the search for these streams chose, from the store, or found now and recorded there.

    None while a stream has no held-out scores yet; where not ``look``, while nothing is recorded. No scores on the test
    split are opened.
    """
    members = {stream: cell.trial.id(data) for stream, cell in one.members.items()}
    (held_out,) = without_test(one.trial).evaluations  # fusion.evaluation, held out, at the scale of the run
    name = evaluated(one.trial.epochs, canonical(held_out))
    content = {
        "streams": StoredEnsemble(store, members, one.ensemble).spec(),  # with the published weights
        "scores": name,
        "space": canonical(fusion.space),
        "search": [fusion.samples, canonical(fusion.sampler)],
        "example": list(example_weights(fusion).values()),  # what the source takes from elsewhere
    }
    place = f"fusions/{digest(content)}.json"
    record = store.read_json(place, lambda content: _is_choice(content, fusion))
    if record is None and look:
        streams = {stream: arrays for stream, id in members.items() if (arrays := store.trial(id).arrays(name)) is not None}
        if len(streams) < len(members):
            return None
        try:
            one.ensemble.fuse(streams)
        except UserError:  # they are of different samples, as its row says
            return None
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        weights, value = search_weights(fusion, streams)
        spent = {"started": started.isoformat(), "seconds": time.perf_counter() - clock, "points": fusion.samples}
        record = {"weights": weights, "held_out_top1": value, **spent, "content": content}
        store.write_json(place, record)
    return None if record is None else Ensemble(record["weights"])
