"""The published figures of the project's studies, and which rows of the papers' figures they are.

python tests/helpers/published_rows.py      # lists the figures that no study has; ../shared has the papers' figures
"""

import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skelray.backbones import Hierarchical
from skelray.methods import AimCLR, CrosSCLR, HiCLR, HiCo, SkeletonCLR
from skelray.names import streams_in_order
from skelray.papers import HICLR
from skelray.runner.study_file import load_study
from skelray.study.ablation import Ablation

ROOT = Path(__file__).parent.parent.parent
BENCHMARKS = {"pkummd1": "pku_mmd1", "pkummd2": "pku_mmd2"}
SHARES = {"semi 1%": "0.01", "semi 10%": "0.10"}
OWN = ("skeletonclr", "crossclr", "aimclr", "hiclr", "hico", "st_gcn")


@dataclass(frozen=True)
class Figure:
    """A published figure as a study has it. named: method and variant, by either of its names; None: any variant."""

    study: str
    named: tuple[tuple[str, str | None], ...]
    backbone: str
    stream: str
    benchmark: str
    protocol: str
    column: str
    epochs: int | None
    value: float

    def is_of(self, row: dict[str, str]) -> bool:
        """Whether a row of the papers is about what this is of, whatever its number."""
        evaluation, share, metric = measured(self.column)
        where = "pku_mmd2 xsub" if evaluation == "transfer" else f"{self.benchmark} {self.protocol}"
        source = BENCHMARKS.get(row["pretrain_dataset"], row["pretrain_dataset"])
        return (
            any(row["method"] == name and variant in (None, row["variant"]) for name, variant in self.named)
            and (not row["backbone"] or not self.backbone or alike(row["backbone"], self.backbone))
            and (not row["stream"] or streams_in_order(row["stream"]) == streams_in_order(self.stream))
            and f"{BENCHMARKS.get(row['dataset'], row['dataset'])} {row['protocol']}" == where
            and source == self.benchmark
            and (row["evaluation"], row["metric"]) == (evaluation, metric)
            and (not share or row["label_fraction"] == share)
            and (not row["pretrain_epochs"] or self.epochs in (None, int(row["pretrain_epochs"])))
        )

    def equals(self, row: dict[str, str]) -> bool:
        return self.is_of(row) and abs(float(row["value"]) - self.value) < 1e-9


def alike(one: str, other: str) -> bool:
    return set(one.split("+")) == set(other.split("+"))


def measured(column: str) -> tuple[str, str, str]:
    """The paper's evaluation, share of labels and metric of a column of a table."""
    if " on " in column:
        return "transfer", "", "top1"
    if column in SHARES:
        return "semi", SHARES[column], "top1"
    if column == "clustering nmi":
        return "clustering", "", "nmi"
    return column.split()[0], "", "top1"


def rows(shared: Path) -> list[dict[str, str]]:
    """The papers' figures."""
    with open(shared / "papers" / "published_results.csv", newline="") as file:
        return list(csv.DictReader(file))


def figures(study: Ablation, name: str) -> Iterator[Figure]:
    """Every published figure of a study."""
    for one in (*study.cells(), *study.fused()):
        trial = one.trial
        if trial.seed:
            continue
        backbone = trial.backbone
        kind = type(backbone.s2s if isinstance(backbone, Hierarchical) else backbone).__name__.lower()
        stream = one.coordinates.get("stream", trial.stream)
        for column, value in one.published.items():
            called = (("st_gcn", ""),) if column == "supervised" else tuple(names_of(trial))
            percent = value if measured(column)[2] == "nmi" else 100 * value
            epochs = trial.epochs or None
            yield Figure(name, called, kind, stream, trial.benchmark, trial.protocol, column, epochs, round(percent, 4))
    for one in study.quoted():
        column = one.name if one.metric == "top1" else f"{one.name} {one.metric}"
        called = ((method_of(one.reference.label), None),)
        place = (one.stream, one.benchmark, one.protocol)
        yield Figure(name, called, one.reference.backbone, *place, column, None, round(100 * one.published, 4))


def method_of(label: str) -> str:
    """3s-AimCLR (AAAI 22) -> aimclr."""
    plain = re.split(r" \(|,", label.removeprefix("3s-"))[0].lower().replace("&", "")
    return re.sub(r"[^a-z0-9]+", "_", plain)


def names_of(trial) -> Iterator[tuple[str, str]]:
    """How papers call a method and its variant."""
    method = trial.method
    if isinstance(method, SkeletonCLR):
        called = f"[{method.query.name.replace('+', ', ')}]"
        yield "skeletonclr", called
        if called == "[BA]":
            yield from (("skeletonclr", name) for name in ("", "baseline", "NA"))
            yield "hiclr", called  # k = 1
    elif isinstance(method, CrosSCLR):
        yield from (("crossclr", name) for name in ("", "cross-stream"))
    elif isinstance(method, AimCLR):
        yield from aimclr(method)
    elif isinstance(method, HiCLR):
        if method.similarity is not HICLR.method.similarity:
            yield "hiclr", method.similarity.__name__
            return
        yield "hiclr", f"[{', '.join(entering.name for entering in method.arrangement)}]"
        if method.arrangement == HICLR.method.arrangement:
            yield from (("hiclr", name) for name in ("", "kl"))
    elif isinstance(method, HiCo):
        yield from (("hico", name) for name in hico(method, trial.backbone))


def aimclr(method: AimCLR) -> Iterator[tuple[str, str]]:
    if method.cross_streams:
        yield "aimclr", "cross-stream"
    elif method.extreme is None:
        yield "skeletonclr", "EA"
    elif method.eadm is None:
        yield "aimclr", "NA+EA"
    elif method.mining_from is None:
        yield "aimclr", "NA+EA+EADM"
    else:
        yield from (("aimclr", name) for name in ("", "NA+EA+EADM+NNM"))


def hico(method: HiCo, backbone: Hierarchical) -> tuple[str, ...]:
    levels = set(method.levels)
    if levels == {"instance"}:
        branches = "+".join(backbone.branches)
        return (branches, "instance") if len(backbone.branches) == 2 else (branches,)
    return ("instance+domain",) if len(levels) == 2 else ("", "instance+domain+clip&part")


def of_project() -> list[Figure]:
    """The figures of all studies."""
    studies = (load_study(path) for path in sorted((ROOT / "studies").glob("*.py")))
    return [one for name, study, _ in studies if isinstance(study, Ablation) for one in figures(study, name)]


def missing(found: list[Figure], published: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of the papers that no study has."""
    return [row for row in published if not any(one.equals(row) for one in found)]


if __name__ == "__main__":
    published = rows(ROOT.parent / "shared")
    without = missing(of_project(), published)
    for row in without:
        said = [row[name] for name in ("paper", "item", "method", "variant", "stream", "dataset", "protocol", "evaluation")]
        sys.stdout.write(f"{' '.join(filter(None, said))} {row['value']}\n")
    sys.stdout.write(f"{len(without)} of {len(published)} published figures stand in no study\n")
