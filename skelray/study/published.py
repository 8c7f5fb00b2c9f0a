"""The published numbers of an arm, as printed, and the one cell of the study to which each belongs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from skelray.checks import UserError
from skelray.data.benchmarks import BENCHMARKS
from skelray.evaluation import Evaluation, main_metric, metrics_of
from skelray.identity.canonical import canonical
from skelray.names import STREAMS, column_name

# {"xsub": 77.6} is of the study's ``published_by``; {"semi 1%": {"xsub": 58.5}} of an evaluation by its name, as a table
# calls it ("clustering nmi"), {"bone": {"xsub": 73.9}} of a stream (of an ensemble: joint+bone+motion), {"ntu120": {...}} of
# a benchmark and {("epochs", 300): {...}} of one value of a field that the study goes across. They nest in any order. In a
# study on several places, [77.8, 83.4, None, 66.7] is the numbers in their order, None where the paper has none.
Published = Mapping[Any, Any] | Sequence[float | None]
PERCENT = ("top1", "top5", "map")  # printed in percent; other metrics, as NMI, are printed as fractions


@dataclass(frozen=True)
class Figure:
    """A number as printed, and what is stated of its place; empty where nothing is."""

    value: float
    protocol: str
    evaluation: str = ""
    stream: str = ""
    benchmark: str = ""
    point: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        said = [self.evaluation, self.benchmark, self.stream, *(f"{name}={value}" for name, value in self.point)]
        return " ".join([*filter(None, said), self.protocol, f"{self.value:g}"])


@dataclass(frozen=True)
class PlaceInTable:
    """A cell without its seed, or an ensemble. columns: its metrics, as the table names them."""

    benchmark: str
    protocol: str
    stream: str
    coordinates: Mapping[str, Any]
    columns: Collection[str]
    fused: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        return place_key(self.benchmark, self.protocol, self.stream, self.coordinates)


def place_key(benchmark: str, protocol: str, stream: str, coordinates: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns what tells a place from others of its arm."""
    others = sorted((n, repr(canonical(v))) for n, v in coordinates.items() if n not in ("benchmark", "protocol", "stream"))
    return (benchmark, protocol, stream, repr(others))


@dataclass(frozen=True)
class Owner:
    """An arm with published numbers: label, own benchmark, evaluations by name, and places."""

    label: str
    benchmark: str
    published_by: str
    evaluations: Sequence[tuple[str, Evaluation]]
    places: Sequence[PlaceInTable] = field(default_factory=tuple)


def list_figures(published: Published, benchmarks: Collection[str] = ()) -> list[Figure]:
    """Returns the numbers of an arm. benchmarks: names of benchmarks beside those that skelray knows."""
    return list(_figures(published, frozenset({*BENCHMARKS, *benchmarks}), Figure(0.0, "")))


def spell_out_rows(published: Published, places: Sequence[tuple[str, str]], label: str) -> Mapping[Any, Any]:
    """Returns numbers with rows of them spelled out by benchmark and protocol. Raises UserError for too many or too few."""
    if isinstance(published, Mapping):
        return {
            k: spell_out_rows(v, places, label) if isinstance(v, (Mapping, list, tuple)) else v for k, v in published.items()
        }
    if len(published) != len(places):
        row = f"published of {label!r} has {len(published)} numbers in a row"
        raise UserError(f"{row}, and the study is on {len(places)} places: give one for each, None where there is none")
    found: dict[str, dict[str, float]] = {}
    for (benchmark, protocol), value in zip(places, published, strict=True):
        if value is not None:
            found.setdefault(benchmark, {})[protocol] = value
    return found


def _figures(published: Published, benchmarks: frozenset[str], within: Figure) -> Iterable[Figure]:
    if not isinstance(published, Mapping):  # their places are the study's
        published = {f"number {place}": value for place, value in enumerate(published, 1) if value is not None}
    for key, value in published.items():
        if isinstance(value, (Mapping, list, tuple)):
            yield from _figures(value, benchmarks, _narrowed(within, key, benchmarks))
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
            raise UserError(f"published {key} {value!r}: a percentage is needed, or a fraction for what is no accuracy")
        else:
            yield replace(within, value=value, protocol=key)


def _narrowed(within: Figure, key: Any, benchmarks: frozenset[str]) -> Figure:
    """Returns the figure with its place narrowed by one key."""
    if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str):
        return replace(within, point=(*within.point, key))
    if not isinstance(key, str):
        raise UserError(f"published {key!r}: an evaluation, stream, benchmark or (field, value) is needed there")
    of_streams = all(part in STREAMS for part in key.split("+"))
    name = "stream" if of_streams else "benchmark" if key in benchmarks else "evaluation"
    if said := getattr(within, name):
        raise UserError(f"a published number under two of one kind, {said!r} and {key!r}: leave one out")
    return replace(within, **{name: key})  # type: ignore[arg-type]


def columns_of(evaluations: Iterable[tuple[str, Evaluation]]) -> dict[str, str]:
    """Returns the table's columns of evaluations by that name and, for main metrics, by the evaluation's own."""
    found: dict[str, str] = {}
    for name, evaluation in evaluations:
        main = main_metric(evaluation)
        found |= {column_name(name, metric): column_name(name, metric) for metric in metrics_of(evaluation)}
        found[name] = column_name(name, main)
    return found


def place_figures(arm: Owner, published: Published, benchmarks: Collection[str]) -> dict[tuple[str, ...], dict[str, float]]:
    """Returns fractions of 0..1 by place and column. Raises UserError for a number that fits no place, or several."""
    found: dict[tuple[str, ...], dict[str, float]] = {}
    given: dict[tuple[str, ...], Figure] = {}
    known = columns_of(arm.evaluations)
    for figure in list_figures(published, benchmarks):
        name = figure.evaluation or arm.published_by
        if name not in known:
            raise UserError(_unknown_evaluation(figure, arm))
        figure = replace(figure, evaluation=known[name], benchmark=figure.benchmark or arm.benchmark)
        fitting = [place for place in arm.places if _fits(figure, place)]
        if len({place.key for place in fitting}) != 1:
            raise UserError(_several(figure, fitting, arm) if fitting else _nowhere(figure, arm))
        key = fitting[0].key
        if (twice := given.get((*key, known[name]))) is not None:
            raise UserError(f"published of arm {arm.label!r} has two numbers for one cell: {twice} and {figure}")
        given[*key, known[name]] = figure
        found.setdefault(key, {})[known[name]] = _fraction(figure, name, arm)
    return found


def _fits(figure: Figure, place: PlaceInTable) -> bool:
    at = {name: repr(canonical(value)) for name, value in place.coordinates.items()}
    return (
        figure.benchmark in ("", place.benchmark)
        and figure.protocol == place.protocol
        and figure.stream == (place.stream if figure.stream or place.fused else "")
        and figure.evaluation in place.columns
        and all(at.get(name) == repr(canonical(value)) for name, value in figure.point)
    )


def _fraction(figure: Figure, name: str, arm: Owner) -> float:
    """Returns the number as tables hold it. Raises UserError unless it is printed as its metric is."""
    metrics = {column_name(own, m): m for own, e in arm.evaluations for m in metrics_of(e)}
    if metrics[figure.evaluation] in PERCENT:
        if 0 < figure.value < 1:
            raise UserError(f"published {figure} of arm {arm.label!r}: percent are needed, as {100 * figure.value:g}")
        return figure.value / 100
    if figure.value > 1:
        raise UserError(f"published {figure} of arm {arm.label!r}: a fraction of 0..1 is needed, as papers print it")
    return figure.value


def _unknown_evaluation(figure: Figure, arm: Owner) -> str:
    name = figure.evaluation or arm.published_by
    if not arm.evaluations:
        return f"arm {arm.label!r} has the published number {figure} and no evaluation: add the one that it is of, {name!r}"
    streams = dict.fromkeys(place.stream for place in arm.places)
    also = f" or streams {', '.join(streams)}" if figure.evaluation else ""
    known = f"the evaluations {', '.join(name for name, _ in arm.evaluations)}{also} of arm {arm.label!r}"
    measured = [metric for own, e in arm.evaluations if name.startswith(f"{own} ") for metric in metrics_of(e)]
    measured = measured and [f"; it measures {', '.join(measured)}, and what else it does, it says as `metrics`"]
    return f"{'published' if figure.evaluation else 'published_by'} {name!r} is none of {known}{''.join(measured)}"


def _nowhere(figure: Figure, arm: Owner) -> str:
    """Returns why a number fits no place of its arm, and what to do."""
    told = f"published {figure} of arm {arm.label!r} has no cell"
    places = arm.places
    streams = list(dict.fromkeys(place.stream for place in places))
    if figure.stream and figure.stream not in streams:
        return f"published names stream {figure.stream!r}; arm {arm.label!r} has {', '.join(streams)}"
    if figure.benchmark and figure.benchmark not in (there := list(dict.fromkeys(place.benchmark for place in places))):
        return f"{told}: it runs on {', '.join(there)} and not on {figure.benchmark}"
    official = BENCHMARKS.get(figure.benchmark)
    if official is not None and figure.protocol not in official.protocols:
        known = ", ".join(official.protocols)
        return f"published {figure.protocol!r} is no protocol of {official.name}; it has {known}"
    if figure.protocol not in (
        there := list(dict.fromkeys(p.protocol for p in places if figure.benchmark in ("", p.benchmark)))
    ):
        return f'{told}: it runs {", ".join(there)}; add "{figure.protocol}" to across={{"protocol": [...]}} or leave it out'
    for name, value in figure.point:
        there = [p.coordinates[name] for p in places if name in p.coordinates]
        if canonical(value) not in [canonical(one) for one in there]:
            known = ", ".join(dict.fromkeys(map(str, there))) or "not at all"
            return f"{told}: the study goes across {name} {known}, and not {value!r}"
    return f"{told}: {figure.evaluation!r} is not read there"


def _several(figure: Figure, places: Sequence[PlaceInTable], arm: Owner) -> str:
    """Returns the places that a number fits, and how to name one of them."""
    axes = {name: list(dict.fromkeys(str(p.coordinates.get(name)) for p in places)) for name in places[0].coordinates}
    name, values = next((name, values) for name, values in axes.items() if len(values) > 1)
    last = places[-1].coordinates[name]
    key = repr(last) if name == "stream" else f'("{name}", {last!r})'
    return (
        f"published {figure} of arm {arm.label!r} would stand at {name} {', '.join(values)}: say at which, as "
        f"published={{{key}: {{{figure.protocol!r}: {figure.value:g}}}}}"
    )
