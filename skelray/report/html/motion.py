"""Sequences that two arms answer differently, played as they are and as each arm's method sees them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from skelray.report.html.blocks import Paragraph, Section, Widget
from skelray.report.html.classes import answers_of_rows, row_label, telling_columns, why_nothing_stored
from skelray.report.html.material import Material
from skelray.report.html.stored import Answers
from skelray.store.excerpts import HIDDEN, Excerpt, read_augmented, read_excerpt
from skelray.store.files import Files

SEQUENCES = 48  # of a set that the page plays at most
BYTES = 1_500_000  # of views in a page; sequences beyond it are played as they are


def section(material: Material, answers: Sequence[Answers] | None) -> Section:
    """Makes the section on motion: a widget of the kept sequences on which rows differ most."""
    kept = [one for one in answers or () if one.excerpt is not None]
    if not kept or material.store is None:
        what = (
            why_nothing_stored(material, "playing sequences")
            if not answers
            else "The store keeps no sequences of these rows."
        )
        return Section("motion", "Sequences", [Paragraph(what)])
    told = (
        f"Of each test set at most {SEQUENCES} sequences of those that were kept with the scores, chosen where rows differ "
        "most. First those that the two rows answer most differently: under each row, the share of its seeds that is right. "
        "Below the recorded sequence: what the method of each row makes of it. Masked joints are left out; drawn are joint "
        "positions, so what acts on the graph is not seen. Drag to turn."
    )
    return Section("motion", "Sequences", [Paragraph(told), Widget("motion", data(material.store, kept))])


def data(store: Files, answers: Sequence[Answers]) -> dict[str, Any]:
    """Returns the widget's data.

    sets: sequences by set; rows: label, set, hits (of the set's sequences, in percent), views (a key); views by key.
    """
    groups, columns = list(answers_of_rows(answers).values()), telling_columns([one.row for one in answers])
    sets, rows, views = {}, [], {}
    left = BYTES
    for name in dict.fromkeys(str(one.excerpt) for one in answers):
        own = [group for group in groups if group[0].excerpt == name]
        if (content := read_excerpt(store, name)) is None:
            continue
        hits = np.stack([np.mean([one.right[content.positions] for one in group], axis=0) for group in own])  # (rows, n)
        chosen = np.argsort(-np.ptp(hits, axis=0), kind="stable")[:SEQUENCES]
        sets[name] = _set(content, chosen)
        for group, share in zip(own, hits[:, chosen], strict=True):
            row = {
                "label": row_label(group[0].row, columns),
                "set": name,
                "hits": (100 * share).round().astype(int).tolist(),
            }
            rows.append(row | {"views": group[0].views or ""})
        for key in dict.fromkeys(str(group[0].views) for group in own if group[0].views):
            if (made := read_augmented(store, key)) is not None:
                size = made.sequences[:, :1].nbytes
                fits = min(len(chosen), 1 + left // (size * len(own)))
                left = max(0, left - fits * size)
                packed = _packed(made.sequences[:, chosen[:fits]])
                views[key] = {"names": made.names.tolist(), "count": fits, "sequences": packed}
    return {"sets": sets, "rows": rows, "views": views}


def _set(content: Excerpt, chosen: np.ndarray) -> dict[str, Any]:
    _, frames, joints, persons, _ = content.sequences.shape
    positions = content.positions[chosen]
    return {
        "frames": frames,
        "joints": joints,
        "persons": persons,
        "bones": content.bones.tolist(),
        "left": content.left.tolist(),
        "right": content.right.tolist(),
        "names": content.names[positions].tolist(),
        "classes": content.classes[content.labels[positions]].tolist(),
        "up": _up(content),
        "sequences": _packed(content.sequences[chosen]),
    }


def _up(content: Excerpt) -> list[int]:
    """Returns which axis stands upright, and which way: persons are tallest along it, and most joints lie below the root."""
    body = content.sequences[..., 0, :].astype(float)  # (n, T, V, 3)
    body[(content.sequences[..., 0, :] == HIDDEN).any(axis=-1)] = np.nan
    posture = np.nanmean(body, axis=(0, 1))  # (V, 3)
    (root,) = set(range(len(posture))) - set(content.bones[:, 0].tolist())
    axis = int(np.ptp(posture, axis=0).argmax())
    return [axis, -1 if (posture[:, axis] - posture[root, axis]).mean() > 0 else 1]


def _packed(sequences: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(sequences).tobytes()).decode()
