"""The numbers of a table's references, each beside measurements of an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skelray.evaluation import Evaluation, metrics_of
from skelray.names import column_name
from skelray.study.arm import Reference
from skelray.study.published import Owner, PlaceInTable, columns_of, list_figures, place_figures

PLACE = ("benchmark", "protocol")
Named = Sequence[tuple[str, Evaluation]]  # evaluations as a table calls them


@dataclass(frozen=True)
class Quoted:
    """A number of a reference, 0..1, in its place. name: its evaluation's."""

    reference: Reference
    benchmark: str
    protocol: str
    stream: str
    evaluation: Evaluation
    name: str
    metric: str
    published: float


def quote_references(
    references: Sequence[Reference], measured: Mapping[tuple[str, str], Named], published_by: str, benchmark: str
) -> list[Quoted]:
    """Returns the numbers of references. measured: the evaluations on each benchmark under each protocol.

    benchmark: of a number that names none. Raises UserError for a number without a place.
    """
    evaluations = dict(pair for named in measured.values() for pair in named)
    known = {column_name(name, metric): (name, metric) for name, e in evaluations.items() for metric in metrics_of(e)}
    found = []
    for one in references:
        streams = {one.stream: False} | {figure.stream: True for figure in list_figures(one.published) if figure.stream}
        places = [  # of a stream that its numbers name, and of the one that goes without saying
            PlaceInTable(*at, stream, dict(zip(PLACE, at, strict=True)), set(columns_of(named).values()), fused=named_stream)
            for at, named in measured.items()
            for stream, named_stream in streams.items()
        ]
        owner = Owner(one.label, benchmark, published_by, list(evaluations.items()), places)
        for key, values in place_figures(owner, one.published, {name for name, _ in measured}).items():
            for called, value in values.items():
                name, metric = known[called]
                found.append(Quoted(one, key[0], key[1], key[2], evaluations[name], name, metric, value))
    return found
