"""Keeps what a report shows of a test set beside its scores, so that a report needs no data."""

from __future__ import annotations

import logging

import numpy as np
import torch

from skelray.augment import Draws, View
from skelray.augment.streams import encoder_input
from skelray.contained import call_contained
from skelray.data.dataset import SkeletonDataset
from skelray.store import excerpts
from skelray.store.excerpts import Augmented, Excerpt
from skelray.store.store import Store
from skelray.trial import Trial

log = logging.getLogger("skelray")


def keep_excerpt(trial: Trial, test: SkeletonDataset, store: Store) -> dict[str, str]:
    """Keeps an excerpt of a test set and the trial's views of it, where the store lacks them.

    Returns their names, for the figures of an evaluation. They decide no result: what goes wrong is logged and left out.
    """
    name = excerpts.excerpt_name(test.fingerprint, test.rows)
    views = excerpts.views_name(name, trial)
    try:
        has_set, has_views = excerpts.has_excerpt(store, name), excerpts.has_excerpt(store, views)
        if has_set and has_views:
            return {"excerpt": name, "views": views}
        positions = excerpts.stratified_positions(test.labels)
        raw = test.batch(positions)
        ruler = excerpts.ruler(raw)
        if not has_set:
            excerpts.write_excerpt(store, name, _excerpt(test, positions, excerpts.quantised(raw, *ruler)))
        if not has_views:
            excerpts.write_excerpt(store, views, call_contained(_augmented, trial, test, positions, ruler))
    except Exception as error:
        log.warning("a page will lack sequences of %s: %s", test.name, error)
        return {}
    return {"excerpt": name, "views": views}


def _excerpt(test: SkeletonDataset, positions: np.ndarray, sequences: np.ndarray) -> Excerpt:
    left, right = (np.array([pair[at] for pair in test.skeleton.mirror], int) for at in (0, 1))
    names = test.samples["name"].to_numpy().astype(str)
    bones = np.array(test.skeleton.bones)
    return Excerpt(np.array(test.classes), names, test.labels, test.rows, bones, left, right, positions, sequences)


def _augmented(trial: Trial, test: SkeletonDataset, positions: np.ndarray, ruler: tuple[np.ndarray, float]) -> Augmented:
    """Returns what the method's key and queries see of the joint stream, masked joints hidden, under one fixed seed."""
    with torch.random.fork_rng([]), torch.no_grad():
        x, lengths = test.batch(positions, trial.frames), test.lengths(positions, trial.frames)
        view = View.of(torch.from_numpy(x), test.skeleton, Draws(0, 1), torch.from_numpy(lengths))
        made = trial.method.views(view)
        branches = {"key": made.key, **{f"query {number + 1}": one for number, one in enumerate(made.queries)}}
        seen = [encoder_input(one, "joint", torch.full((1,), torch.nan)).numpy() for one in branches.values()]
    return Augmented(np.array(list(branches)), np.stack([excerpts.quantised(one, *ruler) for one in seen]))
