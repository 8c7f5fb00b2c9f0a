"""A study that compares: an ablation names arms and what they are compared across, and expands to trials."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

from skelray.checks import MOST_TRIALS, UserError, check_number
from skelray.data import Preprocessing
from skelray.ensemble import Ensemble
from skelray.evaluation import Evaluation, HasFused, HeldOut, distinct_names, main_metric
from skelray.identity.canonical import canonical, digest
from skelray.names import column_name
from skelray.study.across import check_across, check_ensemble, whole_seeds
from skelray.study.apart import check_apart
from skelray.study.arm import Arm, Places, Reference
from skelray.study.cell import Cell, Fused, scalars
from skelray.study.charts import Lines, chart_as_data
from skelray.study.contrasts import FIRST, Contrasts, planned_contrasts
from skelray.study.notebook import arms_as_html
from skelray.study.notes import MARGIN, Notes
from skelray.study.points import Coordinates, Point, check_places, list_points, stream_of_its_own
from skelray.study.published import Owner, PlaceInTable, columns_of, place_figures, place_key, spell_out_rows
from skelray.study.quoted import Quoted, quote_references
from skelray.study.scale import Scale
from skelray.trial import Trial

# Of a table, where a contrast may be planned.
COLUMNS = ("benchmark", "protocol", "stream", "backbone", "epochs", "evaluation", "metric")


@dataclass(frozen=True)
class Ablation:
    """A table: arms (rows) across fields of the trial (columns), each under every seed.

    on: benchmarks with their protocols, as [("ntu60", "xsub"), ("ntu120", "xset")]; across forms their product. A Reference
    among the rows is only published. An arm of several streams runs once in a study across single ones. published_by: the
    evaluation that the published numbers are of. ensemble: of streams in across; its rows come from stored scores and cost
    no training. prepared: the preprocessing behind the published numbers, if not the method's; beside other data they are
    left out. contrasts: what verdicts compare: each arm with the first one ("first") or the one before it ("previous"), or a
    list. margin: points that count as no difference. figures: drawn from the table.
    """

    base: Trial
    arms: Sequence[Arm | Reference]
    across: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: Iterable[int] = (0,)
    published_by: str = "linear"
    ensemble: Ensemble | None = None
    prepared: Preprocessing | None = None
    contrasts: Contrasts = FIRST
    margin: float = MARGIN
    on: Places = ()
    figures: Sequence[Lines] = ()
    _checked: list[Scale] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", whole_seeds(self.seeds))
        object.__setattr__(self, "across", check_across(self.across))
        labels = [unicodedata.normalize("NFKC", " ".join(arm.label.split())) for arm in self.arms]
        if doubled := sorted({label for label in labels if labels.count(label) > 1}):
            raise UserError(f"two arms are called {doubled[0]!r}: a label names one row of the table")
        if not self.rows_run:
            raise UserError("a study needs at least one arm")
        if not self.seeds or not all(self.across.values()):
            raise UserError("a study needs at least one seed, and a value of every field it goes across")
        if "seed" in self.across:
            raise UserError("a study goes across seeds by itself: give them as seeds")
        check_places(self.rows_run, self.across, self.on)
        places = math.prod(len(values) for values in self.across.values()) * max(1, len(self.on))
        if (count := len(self.rows_run) * len(tuple(self.seeds)) * places) > MOST_TRIALS:
            raise UserError(f"a study of {count} trials: at most {MOST_TRIALS} can be told apart in a table")
        for arm in self.rows_run:
            alone = ["stream"] if stream_of_its_own(arm, self.across) else []
            if both := sorted(set(arm.changes) & {*self.across, "seed"} - {*alone}):
                raise UserError(f"arm {arm.label!r} sets {both[0]}, which the study goes across itself")
        check_ensemble(self.ensemble, self.across)
        self._check_contrasts()
        self.cells()
        self._published  # noqa: B018 - every number has its cell
        self._quoted  # noqa: B018 - and every reference

    @cached_property
    def rows_run(self) -> list[Arm]:
        """The rows of the table that are run."""
        return [arm for arm in self.arms if isinstance(arm, Arm)]

    def refuse(self, asked: Scale) -> None:
        """Raises UserError for samples, which a table does not have, and for a field that the study's cells set."""
        asked.check_open({*self.across, *set.intersection(*(set(arm.changes) for arm in self.rows_run))})
        if asked.samples is not None:
            raise UserError(f"--samples {asked.samples}: this study is an ablation, and only a search has samples")
        asked.check_whole_search("an ablation")

    def _repr_html_(self) -> str:
        return arms_as_html("Ablation", self.base, self.arms, self.across, tuple(self.seeds))

    def notes(self) -> Notes:
        """Returns the planned comparisons and their margin."""
        return Notes(
            planned_contrasts(self.contrasts, (arm.label for arm in self.rows_run)),
            self.margin,
            figures=tuple(chart_as_data(one) for one in self.figures),
        )

    def _check_contrasts(self) -> None:
        check_number("margin", self.margin, 0)
        known = {*COLUMNS, *self.across}
        for one in self.notes().contrasts or ():
            if unknown := sorted(set(one.at) - known):
                raise UserError(f"a contrast is planned at {unknown[0]!r}; there are {', '.join(sorted(known))}")

    def cells(self, scale: Scale | None = None) -> list[Cell]:
        """Returns every trial of the table, seeds outermost, so that a whole table is done after the first seed.

        Raises UserError if two cells of one arm are the same trial, or if only the scale makes two of several arms so.
        """
        scale = scale or Scale()
        cells = self._expanded(scale)
        check_apart(cells, lambda: self._written(scale), scale)
        if not scale.as_published:
            return cells
        return [replace(cell, published=self._figures(cell.arm, cell.trial, cell.coordinates)) for cell in cells]

    def _points(self, scale: Scale) -> list[tuple[int, Point]]:
        """Returns the points of the table with their seeds, seeds outermost."""
        self._check_scale(scale)
        there = list_points(self.rows_run, self.across, self.on, scale)
        return list(itertools.product(scale.seeds if scale.seeds is not None else tuple(self.seeds), there))

    def _expanded(self, scale: Scale) -> list[Cell]:
        cells = []
        for seed, point in self._points(scale):
            changes = self._changes(point.arm, point.coordinates, scale)
            trial = scale(self.base, {**changes, "seed": seed}, self._compared)
            cells.append(Cell(point.arm.label, trial, point.coordinates, params=point.arm.params))
        return cells

    def _written(self, scale: Scale) -> list[Cell]:
        """Returns the cells at a scale as the study itself has them."""
        plain = Scale()
        cells = []
        for seed, point in self._points(scale):
            trial = plain(self.base, {**self._changes(point.arm, point.written, plain), "seed": seed})
            cells.append(Cell(point.arm.label, trial, point.written))
        return cells

    def _changes(self, arm: Arm, coordinates: Coordinates, scale: Scale) -> dict[str, Any]:
        base = self.base
        there = {"benchmark": scale.benchmark or base.benchmark, "protocol": base.protocol, "stream": base.stream}
        return arm.changes_at(coordinates, there)

    @cached_property
    def _compared(self) -> frozenset[tuple[type, str]]:
        """Returns the fields in which whole parts of one class, given by arms or ``across``, differ."""
        brought = [part for arm in self.rows_run for own in (arm.changes, *arm.at.values()) for part in own.values()]
        brought += [part for values in self.across.values() for part in values]
        values: dict[tuple[type, str], set[str]] = {}
        for part in brought:
            if is_dataclass(part) and not isinstance(part, type):
                for own in fields(part):
                    values.setdefault((type(part), own.name), set()).add(digest(canonical(getattr(part, own.name))))
        return frozenset(place for place, found in values.items() if len(found) > 1)

    def _figures(
        self, arm: str, trial: Trial, coordinates: Mapping[str, Any], stream: str | None = None
    ) -> dict[str, float]:
        """Returns the published fractions of a cell or, with its stream, of an ensemble."""
        key = place_key(trial.benchmark, trial.protocol, stream or trial.stream, coordinates)
        return dict(self._published.get((arm, *key), {}))

    @cached_property
    def _published(self) -> dict[tuple[str, ...], dict[str, float]]:
        """Returns fractions by the table's column, for each arm and place. Raises UserError for a number without a cell."""
        found: dict[tuple[str, ...], dict[str, float]] = {}
        cells = self._by_arm
        known = {cell.trial.benchmark for own in cells.values() for cell in own}
        for arm in self.rows_run:
            own = cells[arm.label]
            places = sorted((place for cell in own for place in self._places(cell)), key=lambda place: place.fused)
            evaluations = dict(pair for cell in own for pair in _named(cell.trial))
            benchmark = arm.changes.get("benchmark", "" if self.on else self.base.benchmark)
            owner = Owner(arm.label, benchmark, self.published_by, list(evaluations.items()), places)
            found |= {
                (arm.label, *key): value
                for key, value in place_figures(
                    owner, spell_out_rows(arm.published, arm.on or self.on, arm.label), known
                ).items()
            }
        return found

    @cached_property
    def _by_arm(self) -> dict[str, list[Cell]]:
        """Returns the cells of the first seed as the study has them."""
        cells: dict[str, list[Cell]] = {}
        for cell in self._expanded(Scale(seeds=tuple(self.seeds)[:1])):
            cells.setdefault(cell.arm, []).append(cell)
        return cells

    @cached_property
    def _quoted(self) -> list[Quoted]:
        """Returns the numbers of the references."""
        measured: dict[tuple[str, str], list[tuple[str, Evaluation]]] = {}
        for cell in (cell for own in self._by_arm.values() for cell in own):
            measured.setdefault((cell.trial.benchmark, cell.trial.protocol), []).extend(_named(cell.trial))
        references = [arm for arm in self.arms if isinstance(arm, Reference)]
        references = [replace(one, published=spell_out_rows(one.published, self.on, one.label)) for one in references]
        return quote_references(references, measured, self.published_by, "" if self.on else self.base.benchmark)

    def quoted(self, scale: Scale | None = None) -> list[Quoted]:
        """Returns the numbers of the references; none at another scale than the published one."""
        return self._quoted if (scale or Scale()).as_published else []

    @property
    def row_labels(self) -> list[str]:
        """Returns the rows of the table in their order."""
        return [arm.label for arm in self.arms]

    def _places(self, cell: Cell) -> list[PlaceInTable]:
        """Returns the places of a cell's published numbers: its own, and that of the ensemble of its stream."""
        trial, evaluations = cell.trial, _named(cell.trial)
        columns = set(columns_of(evaluations).values())
        places = [PlaceInTable(trial.benchmark, trial.protocol, trial.stream, cell.coordinates, columns)]
        if self.ensemble is not None and trial.stream == next(iter(self.ensemble.weights)):
            fused = {column_name(name, metric) for name, one in evaluations for metric in _of_ensembles(one)}
            at = {**cell.coordinates, "stream": self.ensemble.stream}
            places.append(PlaceInTable(trial.benchmark, trial.protocol, self.ensemble.stream, at, fused, fused=True))
        return places

    def _check_scale(self, scale: Scale) -> None:
        """Raises UserError if a scale changes what the study compares; checked once for each scale."""
        if scale in self._checked:
            return
        for arm in self.rows_run if scale.protocols is not None else ():
            if "protocol" in arm.changes:
                raise UserError(f"--protocol {' '.join(scale.protocols or ())}: arm {arm.label!r} names its protocol itself")
        variants = []
        for point in list_points(self.rows_run, self.across, self.on, scale):
            called = [_called(name, self._number(name, value), value) for name, value in point.coordinates.items()]
            changes = self._changes(point.arm, point.coordinates, scale)
            if self.on:
                del changes["benchmark"]  # which follows the scale
            variants.append((" ".join([point.arm.label, *called]), changes))
        scale.check_changes(self.base, variants)
        self._checked.append(scale)

    def _number(self, name: str, value: Any) -> int:
        """Returns a value's position, from 1, among the values of a field in ``across``."""
        same = (number for number, one in enumerate(self.across.get(name, ()), 1) if one is value)
        return next(same, 0)

    def fused(self, scale: Scale | None = None) -> list[Fused]:
        """Returns the table's ensembles, each of cells that differ in stream only; none without ``ensemble``."""
        if self.ensemble is None:
            return []
        alike: dict[tuple[Any, ...], dict[str, Cell]] = {}
        for cell in self.cells(scale):
            where = scalars({**cell.coordinates, "stream": self.ensemble.stream})
            alike.setdefault((cell.arm, where, cell.trial.seed), {})[cell.trial.stream] = cell
        found = []
        for (label, _, _), cells in alike.items():
            if not cells.keys() >= self.ensemble.weights.keys():
                continue  # an arm of several streams is fused already
            members = {stream: cells[stream] for stream in self.ensemble.weights}
            one = next(iter(members.values()))
            coordinates = {**one.coordinates, "stream": self.ensemble.stream}
            published = {}
            if (scale or Scale()).as_published:
                published = self._figures(label, one.trial, coordinates, self.ensemble.stream)
            found.append(Fused(label, members, self.ensemble, coordinates, published))
        return found


def _named(trial: Trial) -> list[tuple[str, Evaluation]]:
    """Returns a trial's evaluations by their names in tables, without those of held-out subjects, which no paper has."""
    named = zip(distinct_names(trial.evaluations), trial.evaluations, strict=True)
    return [(name, evaluation) for name, evaluation in named if not isinstance(evaluation, HeldOut)]


def _of_ensembles(evaluation: Evaluation) -> tuple[str, ...]:
    """Returns the metrics of an ensemble: of its scores, or as the evaluation fuses streams itself."""
    if main_metric(evaluation) == "top1":
        return "top1", "top5"
    return (main_metric(evaluation),) if isinstance(evaluation, HasFused) and evaluation.keep else ()


def _called(name: str, number: int, value: Any) -> str:
    """Returns how an error message names a point of ``across``."""
    return str(value) if isinstance(value, (bool, int, float, str)) or value is None else f"{name} {number}"
