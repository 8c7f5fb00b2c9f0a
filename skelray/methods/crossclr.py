"""CrosSCLR (Li et al., CVPR 2021): streams trained side by side that, in stage 2, mine positives for one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from skelray.augment import BA, AugmentationSet, View
from skelray.checks import UserError
from skelray.methods.method import Backbone, Follower, Step, Views
from skelray.methods.moco import MoCo, MoCoSettings
from skelray.methods.similarity import Candidates, check_mining, cross_info_nce, info_nce, mines
from skelray.skeleton import Skeleton


class MultiStream(nn.Module):
    """A MoCo for each stream of a trial ("joint+motion+bone"), their queues filled in step.

    shared_head: the other streams' projectors end in the first one's, as released. keys_of: after ``keys_until`` only this
    stream's key branch follows its query, as released.
    """

    def __init__(
        self,
        settings: MoCoSettings,
        backbone: Backbone,
        skeleton: Skeleton,
        stream: str,
        shared_head: bool = False,
        keys_until: int | None = None,
        keys_of: str = "motion",
    ) -> None:
        super().__init__()
        streams = stream.split("+")
        if len(streams) < 2:
            raise UserError(f"{stream}: mining across streams takes at least two, as in joint+motion")
        if keys_until is not None and keys_of not in streams:
            raise UserError(f"{stream}: frozen keys leave those of {keys_of} moving, so it has to be among the streams")
        self.streams = nn.ModuleDict({name: MoCo(settings, backbone, skeleton, name) for name in streams})
        self.keys_until, self.keys_of = keys_until, keys_of
        first, *others = self.mocos().values()
        for other in others if shared_head else ():
            for branch, shared in ((other.query, first.query), (other.key, first.key)):
                branch.head = nn.Sequential(branch.head[0], nn.ReLU(), shared.head)

    def mocos(self) -> Mapping[str, MoCo]:
        return dict(self.streams.items())  # type: ignore[arg-type]

    @property
    def query(self) -> nn.Module:
        return nn.ModuleDict({name: moco.query for name, moco in self.mocos().items()})

    @property
    def autocast(self) -> torch.dtype | None:
        return next(iter(self.mocos().values())).autocast

    @autocast.setter
    def autocast(self, dtype: torch.dtype | None) -> None:
        for moco in self.mocos().values():
            moco.autocast = dtype

    def encoders(self) -> dict[str, nn.Module]:
        return {name: moco.query.encoder for name, moco in self.mocos().items()}

    def projectors(self) -> dict[str, nn.Module]:
        return {name: moco.query.head for name, moco in self.mocos().items()}

    def mask_values(self) -> dict[str, Tensor]:
        return {name: moco.mask_value for name, moco in self.mocos().items()}

    def _moving(self, epoch: int) -> list[MoCo]:
        """Returns the branches whose key follows its query in this epoch."""
        late = self.keys_until is not None and epoch > self.keys_until
        return [moco for name, moco in self.mocos().items() if not late or name == self.keys_of]

    def followers(self, epoch: int) -> list[Follower]:
        return [pair for moco in self._moving(epoch) for pair in moco.followers(epoch)]

    def update_key(self, epoch: int) -> None:
        for moco in self._moving(epoch):
            moco.update_key(epoch)

    def enqueue(self, keys: Mapping[str, Tensor]) -> None:
        for name, moco in self.mocos().items():
            moco.enqueue(keys[name])


# Candidates of each stream -> the loss of each: what streams learn from one another.
Across = Callable[[Mapping[str, Candidates]], dict[str, Tensor]]


def across(queries: Mapping[str, Candidates], k: int, tau: float, context: bool) -> dict[str, Tensor]:
    """Returns for each stream the mean of its losses with positives mined by each of the others."""
    return {
        name: torch.stack(
            [cross_info_nce(query, other, k, tau, context) for mate, other in queries.items() if mate != name]
        ).mean()
        for name, query in queries.items()
    }


@dataclass(frozen=True, kw_only=True)
class CrosSCLR(MoCoSettings):
    """A trial's stream names two or three, as in "joint+motion+bone".

    query, key: augmentations of either view, in joint space, before the streams are formed. mining_from: after this epoch
    (stage 2) the mining_k nearest keys of each other stream are positives; None: never. context: see cross_info_nce.
    shared_head: released code builds the other streams' projectors on top of the joint one. frozen_keys: in stage 2 it
    lets only the motion key encoder follow its query. Both are slips of the code.
    """

    COUNT_EPOCHS: ClassVar[tuple[str, ...]] = ("mining_from",)

    query: AugmentationSet = BA
    key: AugmentationSet = BA
    mining_from: int | None = 150
    mining_k: int = 1
    context: bool = True
    shared_head: bool = False
    frozen_keys: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mining(self.mining_from, self.mining_k, self.queue)

    def build(self, backbone: Backbone, skeleton: Skeleton, stream: str) -> MultiStream:  # type: ignore[override]
        until = self.mining_from if self.frozen_keys else None
        return MultiStream(self, backbone, skeleton, stream, self.shared_head, until)

    def scaled(self, share: float) -> Self:
        return self if self.mining_from is None else replace(self, mining_from=round(self.mining_from * share))

    def stage(self, epoch: int) -> int:
        return int(mines(self.mining_from, epoch))

    def views(self, view: View) -> Views:
        return Views(key=self.key(view.on("key")), queries=[self.query(view.on("query0"))])

    def loss(self, model: MultiStream, views: Views, epoch: int) -> Step:
        mocos = model.mocos()
        keys = {name: moco.embed_key(views.key) for name, moco in mocos.items()}  # (N, D) each
        queries = {
            name: Candidates.of(moco.embed(views.queries[0]), keys[name], moco.queue.keys, self.tau)
            for name, moco in mocos.items()
        }
        if mines(self.mining_from, epoch):
            losses = across(queries, self.mining_k, self.tau, self.context)
        else:
            losses = {name: info_nce(query) for name, query in queries.items()}
        parts = {name: loss.detach() for name, loss in losses.items()}
        return Step(torch.stack(list(losses.values())).sum(), keys, parts)
