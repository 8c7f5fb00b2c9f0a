"""What stopping rules would have done on the curves of a study: a table, a figure, and which one to take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from skelray.checks import UserError
from skelray.names import HELD_OUT
from skelray.report.figures.drawing import Drawing
from skelray.report.figures.style import INK, empty_figure, in_style, series_styles
from skelray.report.table import Table
from skelray.search.from_table import distributions
from skelray.search.simulate import Curve, Outcome, recommended_rule

POOL = ("study", "benchmark", "protocol", "stream", "epochs")  # curves that differ in these do not compare
SHOWN = (0.25, 0.5)  # shares of all epochs at which the table shows the regret
LINES = 8  # of the figure


def trained_curves(frame: pd.DataFrame, curves: pd.DataFrame) -> list[list[Curve]]:
    """Returns the samples or arms of a table that were trained to their end, with held-out accuracy over the epochs.

    A curve is the mean over seeds. Raises UserError where there are none.
    """
    watched = curves[curves["metric"] == HELD_OUT]
    if watched.empty:
        there = ", ".join(sorted(set(curves["metric"]))) or "none"
        raise UserError(
            f"no curve of {_named(frame)} has held-out accuracy, which rules read; they have {there}. A sweep has it, "
            "and so has an arm with monitor=Monitor(KNN(), every=1)"
        )
    readings = {str(trial): dict(zip(own["epoch"], own["value"], strict=True)) for trial, own in watched.groupby("trial")}
    rows = frame[frame["status"] == "done"]
    rows = rows[~rows["arm"].str.endswith(" (test)")].drop_duplicates(["trial", "arm"])
    rows = rows[[max(readings.get(t, {0: 0.0})) == e for t, e in zip(rows["trial"], rows["epochs"], strict=True)]]
    found = []
    for _, pool in rows.groupby(list(POOL), sort=False):
        arms = pool.groupby(["arm", "cell"], sort=False)
        made = [_curve(str(arm), own.to_dict("records"), readings) for (arm, _), own in arms]
        found += [made] if len(made) > 1 else []
    if not found:
        raise UserError(f"{_named(frame)} has no two samples or arms with held-out accuracy that were trained to their end")
    return found


def _curve(arm: str, rows: Sequence[Any], readings: dict[str, dict[int, float]]) -> Curve:
    """Returns the mean over an arm's seeds, at the epochs where all were read."""
    each = [readings[row["trial"]] for row in rows]
    epochs = sorted(set.intersection(*(set(one) for one in each)))
    space = distributions(rows[0]["spec"])
    params = json.loads(rows[0]["cell"]) if space else {}
    return Curve(arm, {epoch: fmean(one[epoch] for one in each) for epoch in epochs}, params, space)


def _named(frame: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(frame["study"]))


def simulation_table(outcomes: Sequence[Outcome], found: Sequence[Sequence[Curve]], margin: float) -> Table:
    """Returns a row for each rule: what it spends, what it misses at shares of all epochs and at its end, how often it
    keeps the best. margin: regret that does not matter, a fraction; the row with a star is the cheapest within it.
    """
    several = len({outcome.sampler for outcome in outcomes}) > 1
    best, rows, numbers = recommended_rule(outcomes, margin), [], []
    for one in outcomes:
        at = [one.regret[round(share * (len(one.regret) - 1))] for share in SHOWN]
        told = [settings_text(one.rule) + (" *" if one is best else ""), *([settings_text(one.sampler)] if several else [])]
        figures = [one.spent, *at, one.last, one.kept]
        rows.append([*told, *(f"{100 * figure:.1f}" for figure in figures[:-1]), f"{100 * one.kept:.0f}"])
        numbers.append([settings_text(one.rule), settings_text(one.sampler), *figures])
    early = [f"regret at {100 * share:.0f} %" for share in SHOWN]
    header = ["rule", *(["sampler"] if several else []), "epochs (%)", *early, "at its end", "best kept (%)"]
    count, epochs = sum(map(len, found)), sum(curve.epochs for pool in found for curve in pool)
    caption = (
        f"{count} curves, {epochs} epochs in all. Regret: points of held-out top-1 below the best of them, mean of replays, "
        f"each in an order of its own. * The cheapest that ends within {100 * margin:g} points of the least regret."
    )
    columns = ["rule", "sampler", "epochs", *(f"regret at {share:g}" for share in SHOWN), "regret", "best kept"]
    return Table(caption, header, rows, 2 if several else 1, pd.DataFrame(numbers, columns=columns))


@in_style()
def simulation_figure(outcomes: Sequence[Outcome], margin: float) -> Drawing:
    """Draws regret against epochs: a line for the rule to take, for training all to their end, and for the best others; a
    dot where each rule ends.
    """
    shown = _shown(outcomes, margin)
    shares = np.linspace(0, 100, len(outcomes[0].regret))
    drawing, plot = empty_figure("epochs (% of training all to their end)", "regret (points of held-out top-1)")
    for one, look in zip(shown, series_styles(len(shown)), strict=True):
        until = max(1, int(np.searchsorted(shares, 100 * one.spent, side="right")))
        regret = 100 * np.array(one.regret)
        plot.plot(shares[:until], regret[:until], label=settings_text(one.rule), **{**look, "marker": ""})
        plot.plot([100 * one.spent], [100 * one.last], color=look["color"], marker=look["marker"], linestyle="")
    rest = [one for one in outcomes if one not in shown]
    plot.plot(
        [100 * o.spent for o in rest], [100 * o.last for o in rest], color=INK, marker=".", linestyle="", label="others"
    )
    plot.set_ylim(bottom=0)
    plot.legend(loc="best")
    data = pd.DataFrame(
        [
            (settings_text(one.rule), settings_text(one.sampler), float(share), regret, spread, one.spent)
            for one in outcomes
            for share, regret, spread in zip(shares / 100, one.regret, one.spread, strict=True)
        ],
        columns=["rule", "sampler", "share", "regret", "spread", "spent"],
    )
    caption = (
        "What a search has not found after so many epochs, mean over replays; a line ends where every curve was taken up."
    )
    return Drawing("simulation", caption, drawing, data)


def _shown(outcomes: Sequence[Outcome], margin: float) -> list[Outcome]:
    """Returns the rule to take, the first rule, and of each other kind the one that ends with the least regret."""
    kept = {id(recommended_rule(outcomes, margin)): recommended_rule(outcomes, margin), id(outcomes[0]): outcomes[0]}
    for kind in dict.fromkeys(type(one.rule) for one in outcomes):
        best = min((one for one in outcomes if type(one.rule) is kind), key=lambda one: (one.last, one.spent))
        kept.setdefault(id(best), best)
    return list(kept.values())[:LINES]


def settings_text(part: Any) -> str:
    """Returns a rule or sampler by its settings, without those at their default except the grace."""
    own = [f for f in fields(part) if f.name == "grace" or getattr(part, f.name) != f.default]
    return f"{type(part).__name__}({', '.join(f'{f.name}={getattr(part, f.name)!r}' for f in own)})"
