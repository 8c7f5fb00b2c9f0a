"""Every method, in settings that together reach every line of their losses."""

from dataclasses import dataclass

from tiny import MOCO

from skelray.augment import BA, DAE, HICO, NA, AdaIN, AugmentationSet, CropResize, Mask
from skelray.methods import (
    EADM,
    AimCLR,
    Candidates,
    CrosSCLR,
    HiCLR,
    HiCo,
    MoCoSettings,
    SkeletonCLR,
    Step,
    Views,
    cosine,
    cross_entropy,
    info_nce,
    l1,
)


@dataclass(frozen=True, kw_only=True)
class NegativesOnly(MoCoSettings):
    """A method as a study file may define it: two strong views pushed to their key."""

    strength: float = 1.0

    def views(self, view):
        return Views(key=BA(view.on("key")), queries=[(BA + NA)(view.on("query0")), (BA + Mask)(view.on("query1"))])

    def loss(self, model, views, epoch):
        keys = model.embed_key(views.key)
        loss = sum(info_nce(Candidates.of(model.embed(q), keys, model.queue.keys, self.tau)) for q in views.queries)
        return Step(self.strength * loss, keys, {"infonce": loss.detach()})


def far(weak, strong):
    """A similarity as a study file may define it."""
    return (weak.detach().z * strong.z).sum(dim=1).square().mean()


SHORT_HICO = AugmentationSet("HiCo", (CropResize(frames=16, minimum=8), *HICO.augmentations[1:]))

METHODS = {
    "skeletonclr": SkeletonCLR(**MOCO),
    "skeletonclr NA": SkeletonCLR(query=BA + NA, key=NA, **MOCO),
    "hiclr": HiCLR(**MOCO),
    "hiclr k=1": HiCLR(arrangement=(BA,), **MOCO),
    "hiclr k=4": HiCLR(arrangement=(BA, NA, Mask, Mask), weights=(0.5, 0.3, 0.2), **MOCO),
    "hiclr mask first": HiCLR(arrangement=(Mask, BA, NA), **MOCO),
    "hiclr mined": HiCLR(mining_from=0, mining_k=3, **MOCO),
    "hiclr cosine": HiCLR(similarity=cosine, lambda_h=7.0, **MOCO),
    "hiclr l1": HiCLR(similarity=l1, **MOCO),
    "hiclr cross entropy": HiCLR(similarity=cross_entropy, **MOCO),
    "hiclr own similarity": HiCLR(similarity=far, **MOCO),
    "hiclr independent": HiCLR(key_init="independent", **MOCO),
    "own method": NegativesOnly(**MOCO),
    "aimclr": AimCLR(**MOCO),
    "aimclr released": AimCLR(eadm=EADM("released"), mined_mean=True, mining_from=0, **MOCO),
    "aimclr without EADM": AimCLR(eadm=None, mining_from=0, mining_k=2, **MOCO),
    "aimclr normal only": AimCLR(eadm=None, extreme=None, **MOCO),
    "aimclr across": AimCLR(cross_streams=True, mining_from=0, **MOCO),
    "crossclr": CrosSCLR(**MOCO),
    "crossclr mined": CrosSCLR(mining_from=0, mining_k=2, **MOCO),
    "crossclr without context": CrosSCLR(mining_from=0, context=False, **MOCO),
    "crossclr released": CrosSCLR(shared_head=True, frozen_keys=True, **MOCO),
    "hiclr DAE, AdaIN": HiCLR(arrangement=(BA, NA, DAE, AdaIN), **MOCO),
    "hico": HiCo(query=SHORT_HICO, key=SHORT_HICO, **MOCO),
    "hico instance": HiCo(query=SHORT_HICO, key=SHORT_HICO, levels=("instance",), **MOCO),
    "hico released": HiCo(query=SHORT_HICO, key=SHORT_HICO, short_queue=True, **MOCO),
}
