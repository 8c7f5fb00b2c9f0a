"""AimCLR (Guo et al., AAAI 2022): extreme augmentations that learn from the normal view, and neighbours as positives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from skelray.augment import BA, EA, AugmentationSet, View
from skelray.checks import UserError, check_number
from skelray.methods.crossclr import MultiStream, across
from skelray.methods.eadm import EADM
from skelray.methods.method import Backbone, HasFeatureMap, Step, Views
from skelray.methods.moco import MoCo, MoCoSettings
from skelray.methods.similarity import Candidates, check_mining, cross_entropy, info_nce, mined_info_nce, mines, nearest_keys
from skelray.skeleton import Skeleton


@dataclass(frozen=True, kw_only=True)
class AimCLR(MoCoSettings):
    """normal: the augmentations of query and key. extreme: of the second query; None trains without it.

    eadm: the drop that makes a third query from the extreme one's feature map; None trains without it. beta: weight of the
    D3M loss, 0 trains without it. mining_from: after this epoch (stage 2) the ``mining_k`` nearest keys of each query are
    positives too (NNM); None: never. mined_mean: their mean instead of the paper's sum, as released.
    cross_streams: the trial has several streams, and stage 2 mines across them as CrosSCLR does: "3s-AimCLR §" of the
    paper's tables. No code of it was released; here D3M stays within each stream, and CrosSCLR's loss of the normal queries
    replaces InfoNCE and NNM.
    """

    COUNT_EPOCHS: ClassVar[tuple[str, ...]] = ("mining_from",)
    NUMBERS: ClassVar[tuple[str, ...]] = (*MoCoSettings.NUMBERS, "beta")

    normal: AugmentationSet = BA
    extreme: AugmentationSet | None = EA
    eadm: EADM | None = EADM()
    beta: float = 1.0
    mining_from: int | None = 150
    mining_k: int = 1
    mined_mean: bool = False
    cross_streams: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("beta", self.beta, 0)
        check_mining(self.mining_from, self.mining_k, self.queue)
        if self.eadm is not None and self.extreme is None:
            raise UserError("eadm drops from the extreme query's features: without extreme, set eadm=None")
        if self.cross_streams and self.mined_mean:
            raise UserError("mined_mean is for single streams; the loss across streams is a mean already: leave it out")

    def build(self, backbone: Backbone, skeleton: Skeleton, stream: str) -> MoCo | MultiStream:  # type: ignore[override]
        model = self._model(backbone, skeleton, stream)
        for encoder in model.encoders().values() if self.eadm else ():
            if not isinstance(encoder, HasFeatureMap):
                raise UserError("eadm drops from a feature map, which this backbone does not have: set eadm=None")
        return model

    def _model(self, backbone: Backbone, skeleton: Skeleton, stream: str) -> MoCo | MultiStream:
        if self.cross_streams:
            return MultiStream(self, backbone, skeleton, stream)
        return super().build(backbone, skeleton, stream)

    def scaled(self, share: float) -> Self:
        return self if self.mining_from is None else replace(self, mining_from=round(self.mining_from * share))

    def stage(self, epoch: int) -> int:
        return int(mines(self.mining_from, epoch))

    def views(self, view: View) -> Views:
        queries = [self.normal(view.on("query0"))]
        if self.extreme is not None:
            queries.append(self.extreme(view.on("query1")))
        return Views(key=self.normal(view.on("key")), queries=queries)

    def loss(self, model: Any, views: Views, epoch: int) -> Step:
        mining = mines(self.mining_from, epoch)
        if not self.cross_streams:
            keys = model.embed_key(views.key)  # (N, D)
            queries = self._queries(model, views, keys)
            parts = {"mined" if mining else "infonce": self._positives(queries, mining)}
            divergence = d3m(queries)
        else:
            keys = {name: moco.embed_key(views.key) for name, moco in model.mocos().items()}
            streams = {name: self._queries(moco, views, keys[name]) for name, moco in model.mocos().items()}
            if mining:
                parts = across({name: queries[0] for name, queries in streams.items()}, self.mining_k, self.tau, True)
            else:
                parts = {name: info_nce(queries[0]) for name, queries in streams.items()}
            divergence = torch.stack([d3m(queries) for queries in streams.values()]).sum()
        loss = torch.stack(list(parts.values())).sum() + self.beta * divergence
        parts["d3m"] = divergence
        return Step(loss, keys, {name: part.detach() for name, part in parts.items()})

    def _queries(self, model: MoCo, views: Views, keys: Tensor) -> list[Candidates]:
        """Embeds the normal view and, if they are set, the extreme one and the extreme one after EADM."""
        embeddings = model.embed_each(views.queries, self.eadm)
        return [Candidates.of(z, keys, model.queue.keys, self.tau) for z in embeddings]

    def _positives(self, queries: list[Candidates], mining: bool) -> Tensor:
        if not mining:
            return info_nce(queries[0])  # Eq. 1
        return mined_info_nce(queries[0], nearest_keys(queries, self.mining_k), self.mined_mean)  # Eq. 9


def d3m(queries: list[Candidates]) -> Tensor:
    """Averages the cross-entropy of the other queries' distributions with the first one's (Eq. 7, 8); 0 without others."""
    if len(queries) == 1:
        return queries[0].positive.new_zeros(())
    return torch.stack([cross_entropy(queries[0], query) for query in queries[1:]]).mean()
