"""SkeletonCLR (Li et al., CVPR 2021): MoCo on one stream; the baseline of CrosSCLR, AimCLR and HiCLR."""

from __future__ import annotations

from dataclasses import dataclass

from skelray.augment import BA, AugmentationSet, View
from skelray.methods.method import Step, Views
from skelray.methods.moco import MoCo, MoCoSettings
from skelray.methods.similarity import Candidates, info_nce


@dataclass(frozen=True, kw_only=True)
class SkeletonCLR(MoCoSettings):
    """query, key: augmentations of either view, drawn independently."""

    query: AugmentationSet = BA
    key: AugmentationSet = BA

    def stage(self, epoch: int) -> int:
        return 0

    def views(self, view: View) -> Views:
        return Views(key=self.key(view.on("key")), queries=[self.query(view.on("query0"))])

    def loss(self, model: MoCo, views: Views, epoch: int) -> Step:
        keys = model.embed_key(views.key)  # (N, D)
        loss = info_nce(Candidates.of(model.embed(views.queries[0]), keys, model.queue.keys, self.tau))
        return Step(loss, keys, {"infonce": loss.detach()})
