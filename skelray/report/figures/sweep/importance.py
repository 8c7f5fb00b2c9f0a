"""What set the best samples apart from the others, at each rung."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from skelray.report.figures.drawing import Drawing
from skelray.report.figures.style import empty_figure, in_style, series_styles
from skelray.search.from_table import LEAST, ReadSample, conditional_parameters, importance, read_epochs


def importance_shares(told: Sequence[ReadSample]) -> pd.DataFrame:
    """Returns a row for each rung and parameter, the most important at the last rung first.

    Columns: epoch, samples that came there, parameter, conditional, share.
    """
    some = conditional_parameters(told)
    rows = [
        (epoch, sum(epoch in sample.readings for sample in told), name, name in some, share)
        for epoch in read_epochs(told)
        for name, share in (importance(told, epoch) or {}).items()
    ]
    return pd.DataFrame(rows, columns=["epoch", "samples", "parameter", "conditional", "share"])


@in_style()
def importances(told: Sequence[ReadSample]) -> Drawing | None:
    """Draws a line for each parameter over the rungs at which enough samples were read."""
    frame = importance_shares(told)
    if frame.empty:
        return None
    last = frame[frame["epoch"] == frame["epoch"].max()].set_index("parameter")["share"]
    order = sorted(set(frame["parameter"]), key=lambda name: (-last.get(name, 0.0), name))
    figure, plot = empty_figure("epoch of the rung (samples that came there)", "importance (%)")
    for name, look in zip(order, series_styles(len(order)), strict=True):
        own = frame[frame["parameter"] == name]
        said = f"{name} *" if own["conditional"].any() else name
        plot.plot(own["epoch"], 100 * own["share"], label=said, **look)
    epochs = frame.drop_duplicates("epoch")
    labels = [f"{row.epoch}\n({row.samples})" for row in epochs.itertuples()]
    plot.set_xticks(epochs["epoch"].tolist(), labels)
    plot.set_ylim(bottom=0)
    plot.legend(loc="best")
    star = " A parameter with a star is there in some samples only." if frame["conditional"].any() else ""
    caption = (
        "What sets the best tenth (five at least) of the samples that came to a rung apart from all of them, by PED-ANOVA; "
        f"rungs with fewer than {LEAST} samples are left out.{star}"
    )
    return Drawing("importance", caption, figure, frame)
