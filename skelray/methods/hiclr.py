"""HiCLR (Zhang, Lin, Liu, AAAI 2023): views of growing augmentation, each branch pulled to the next weaker one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from skelray.augment import BA, NA, Arrangement, Mask, View, grow
from skelray.checks import UserError, check_number, check_whole
from skelray.methods.method import Step, Views
from skelray.methods.moco import MoCo, MoCoSettings
from skelray.methods.similarity import (
    Candidates,
    Similarity,
    check_mining,
    info_nce,
    kl,
    mined_info_nce,
    mines,
    nearest_keys,
)


@dataclass(frozen=True, kw_only=True)
class HiCLR(MoCoSettings):
    """arrangement: the set that enters at each branch (Eq. 2), so its length is the paper's k; the key is a branch 0.

    lambda_h: weight of the hierarchical loss (Eq. 7); weights: of its k - 1 terms, all 1 by default.
    mining_from: after this epoch InfoNCE counts the ``mining_k`` nearest keys of the first ``mining_branches`` branches as
    positives too; only in the released code, not in the paper. None: never.
    """

    COUNT_EPOCHS: ClassVar[tuple[str, ...]] = ("mining_from",)
    NUMBERS: ClassVar[tuple[str, ...]] = (*MoCoSettings.NUMBERS, "lambda_h")

    arrangement: Arrangement = (BA, NA, Mask)
    lambda_h: float = 0.5
    similarity: Similarity = kl
    weights: tuple[float, ...] | None = None
    mining_from: int | None = 150
    mining_k: int = 1
    mining_branches: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        sets = self.arrangement
        if not isinstance(sets, (tuple, list)) or not sets or not all(callable(augment) for augment in sets):
            raise UserError(f"arrangement {sets}: a tuple of at least one augmentation set is needed, as in (BA, NA, Mask)")
        if self.weights is not None and len(self.weights) != len(self.arrangement) - 1:
            raise UserError(f"{len(self.weights)} weights for {len(self.arrangement) - 1} pairs of branches")
        check_mining(self.mining_from, self.mining_k, self.queue)
        check_whole("mining_branches", self.mining_branches, 1)
        check_number("lambda_h", self.lambda_h, 0)
        for weight in self.weights or ():
            check_number("weights", weight, 0)
        if not callable(self.similarity):
            raise UserError(f"similarity {self.similarity!r}: a function is needed, as in similarity=kl")

    def scaled(self, share: float) -> Self:
        return self if self.mining_from is None else replace(self, mining_from=round(self.mining_from * share))

    def stage(self, epoch: int) -> int:
        return int(mines(self.mining_from, epoch))

    def views(self, view: View) -> Views:
        return Views(key=self.arrangement[0](view.on("key")), queries=grow(self.arrangement, view))  # Eq. 2

    def loss(self, model: MoCo, views: Views, epoch: int) -> Step:
        keys = model.embed_key(views.key)  # (N, D)
        branches = [Candidates.of(z, keys, model.queue.keys, self.tau) for z in model.embed_each(views.queries)]
        parts = {}
        if mines(self.mining_from, epoch):
            loss = mined_info_nce(branches[0], nearest_keys(branches[: self.mining_branches], self.mining_k))
            parts["mined"] = loss.detach()
        else:
            loss = info_nce(branches[0])  # Eq. 1
            parts["infonce"] = loss.detach()
        weights = self.weights or (1.0,) * (len(branches) - 1)
        for i, weight in enumerate(weights, start=1):
            term = self.similarity(branches[i - 1], branches[i])  # Eq. 5, 6
            parts[f"hierarchical{i}"] = term.detach()
            loss = loss + self.lambda_h * weight * term  # Eq. 7
        return Step(loss, keys, parts)
