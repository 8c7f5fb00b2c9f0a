"""How a search went on: its history, the spread at each rung, what ran when, and the front of two objectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from skelray.report.figures.drawing import Drawing
from skelray.report.figures.style import COLOURS, FAINT, INK, empty_figure, in_style, series_styles, use_whole_ticks
from skelray.search.from_table import ReadSample, optuna_study_from_samples, read_epochs

LOOKS = {"done": (COLOURS[0], "o"), "stopped": (COLOURS[1], "x"), "failed": (COLOURS[3], "^")}


@in_style()
def history(told: Sequence[ReadSample]) -> Drawing | None:
    """Draws the latest reading of each sample by number, and the best so far of those that ran to their end."""
    read = [sample for sample in told if sample.readings]
    if not read:
        return None
    figure, plot = empty_figure("sample", "held-out top-1 (%)")
    for status, (colour, marker) in LOOKS.items():
        own = [sample for sample in read if sample.status == status]
        if own:
            numbers, values = [s.number for s in own], [100 * (s.value or 0.0) for s in own]
            plot.scatter(numbers, values, color=colour, marker=marker, s=24, label=status)
    done = [sample for sample in read if sample.status == "done"]
    best = np.maximum.accumulate([100 * (sample.value or 0.0) for sample in done]) if done else np.array([])
    if len(done):
        plot.step([s.number for s in done], best, where="post", color=INK, label="best that ran to its end")
    plot.legend(loc="best")
    use_whole_ticks(plot.xaxis)
    frame = pd.DataFrame(
        [{"sample": s.number, "status": s.status, "epoch": max(s.readings), "value": s.value} for s in read]
    )
    return Drawing("history", "The latest reading of each sample, and the best so far.", figure, frame)


@in_style()
def distribution(told: Sequence[ReadSample]) -> Drawing | None:
    """Draws the empirical distribution of the readings at each rung, a line for each."""
    epochs = [epoch for epoch in read_epochs(told) if sum(epoch in sample.readings for sample in told) > 1]
    if not epochs:
        return None
    chosen = [epochs[place] for place in sorted({round(p) for p in np.linspace(0, len(epochs) - 1, min(6, len(epochs)))})]
    figure, plot = empty_figure("held-out top-1 (%)", "samples at or below (%)")
    rows = []
    for epoch, look in zip(chosen, series_styles(len(chosen)), strict=True):
        values = np.sort([sample.readings[epoch] for sample in told if epoch in sample.readings])
        below = np.arange(1, len(values) + 1) / len(values)
        plot.step(100 * values, 100 * below, where="post", label=f"epoch {epoch} ({len(values)})", **{**look, "marker": ""})
        rows += [(epoch, float(value), float(share)) for value, share in zip(values, below, strict=True)]
    plot.legend(loc="best")
    frame = pd.DataFrame(rows, columns=["epoch", "value", "below"])
    return Drawing("distribution", "Of the samples that came to a rung, how many read no better there.", figure, frame)


@in_style()
def timeline(told: Sequence[ReadSample]) -> Drawing | None:
    """Draws a bar for each sample, from when it was proposed, as long as it trained."""
    if not told:
        return None
    began = min(sample.started for sample in told)
    figure, plot = empty_figure("hours since the first sample", "sample", height=max(2.4, min(8.0, 1.2 + 0.09 * len(told))))
    rows = []
    for sample in told:
        start = (sample.started - began).total_seconds() / 3600
        hours = sample.seconds / 3600
        rows.append((sample.number, sample.status, start, hours, sample.trained))
    frame = pd.DataFrame(rows, columns=["sample", "status", "start_h", "training_h", "epochs"])
    for status, (colour, _) in LOOKS.items():
        own = frame[frame["status"] == status]
        if len(own):
            plot.barh(own["sample"], own["training_h"], left=own["start_h"], color=colour, height=0.8, label=status)
    plot.invert_yaxis()
    use_whole_ticks(plot.yaxis)
    plot.legend(loc="best")
    caption = "A bar for each sample: where it was proposed, and as long as its epochs took, however they were interrupted."
    return Drawing("timeline", caption, figure, frame)


@in_style()
def pareto(told: Sequence[ReadSample]) -> Drawing | None:
    """Draws accuracy against the first further objective, and the samples that nothing is better than in both."""
    done = [sample for sample in told if sample.status == "done" and sample.readings and sample.figures]
    if not done:
        return None
    name = sorted(done[0].figures)[0]
    front = {trial.user_attrs["arm"] for trial in optuna_study_from_samples(done).best_trials}
    figure, plot = empty_figure(name, "held-out top-1 (%)")
    for on, colour, marker, said in ((False, FAINT, "o", "dominated"), (True, COLOURS[0], "D", "Pareto front")):
        own = sorted((s for s in done if (s.arm in front) == on), key=lambda s: s.figures[name])
        if own:
            x, y = [s.figures[name] for s in own], [100 * (s.value or 0.0) for s in own]
            plot.plot(x, y, color=colour, marker=marker, linestyle="-" if on else "", markeredgecolor=INK, label=said)
    plot.legend(loc="best")
    rows = [{"sample": s.arm, "value": s.value, **s.figures, "front": s.arm in front} for s in done]
    caption = "Samples that ran to their end; on the front none is better in one objective without being worse in another."
    return Drawing("pareto", caption, figure, pd.DataFrame(rows))
