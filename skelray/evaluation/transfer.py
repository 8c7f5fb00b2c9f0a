"""Transfer: an encoder trained on one benchmark, evaluated on another with the same skeleton."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from skelray.checks import UserError
from skelray.data.dataset import SkeletonDataset, Splits
from skelray.data.stored import DataError
from skelray.evaluation.evaluation import (
    Evaluation,
    EvaluationResult,
    finetuned_sequences,
    main_metric,
    runs_another,
    small_version,
)
from skelray.evaluation.frozen import FrozenEncoder, Load
from skelray.evaluation.scores import measure
from skelray.skeleton import Skeleton


@dataclass(frozen=True)
class Transfer:
    """An evaluation on another benchmark's splits (HiCo, Dong et al., AAAI 2023, section 4.4, with finetuning).

    data: the fingerprint of the target's prepared data, set by a run (``pinned``) so that the result is stored under it;
    if given, only that data is evaluated on.
    """

    benchmark: str
    protocol: str
    evaluation: Evaluation
    data: str | None = None

    wraps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if runs_another(self.evaluation):
            raise UserError(f"{self.evaluation.name} cannot be transferred: give what it evaluates by, as Linear()")

    @property
    def name(self) -> str:
        return f"{self.evaluation.name} on {self.benchmark} {self.protocol}"

    def pinned(self, load: Load, skeleton: Skeleton) -> Transfer:
        """Returns it with its target's fingerprint. Raises DataError unless that is prepared and has this skeleton."""
        target = load(self.benchmark, self.protocol)
        _check(self, target, skeleton)
        return replace(self, data=target.train.fingerprint)

    @property
    def measures(self) -> str:
        return main_metric(self.evaluation)

    def small(self) -> Transfer:
        """Returns a transfer between two protocols of the generated data, all that a demonstration has."""
        return Transfer("synthetic", "xview", small_version(self.evaluation))

    def trained(self, samples: int) -> int:
        """Returns how many sequences the encoder is trained on, assuming a target as large as the source."""
        return finetuned_sequences(self.evaluation, samples)

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> EvaluationResult:
        if encoder.load is None:
            raise UserError(f"{self.name} reads another benchmark: say how to load it, as in frozen_encoder(load=...)")
        target = encoder.load(self.benchmark, self.protocol)
        _check(self, target, train.skeleton)
        return measure(self.evaluation, encoder, target.train, target.test)


def _check(transfer: Transfer, target: Splits, skeleton: Skeleton) -> None:
    found = target.train.skeleton
    if found != skeleton:
        raise DataError(
            f"{transfer.name}: its skeleton {found.name} ({len(found.joints)} joints) is not the encoder's "
            f"{skeleton.name} ({len(skeleton.joints)})"
        )
    if transfer.data not in (None, target.train.fingerprint):
        raise DataError(f"{transfer.name} names the data {transfer.data}, not the {target.train.fingerprint} here")
