"""Data, views, trials and models small enough for a test to train in a moment."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from skelray.augment import STREAMS, Draws, View
from skelray.backbones import DSTA, STGCN, Hierarchical, Transformer
from skelray.backbones.dropout import Dropout
from skelray.data import SkeletonDataset, Splits
from skelray.data.stored import COLUMNS
from skelray.methods import CrosSCLR, HiCo, SkeletonCLR
from skelray.methods.queue import Queue
from skelray.skeleton import KINECT_V1, KINECT_V2
from skelray.trial import SGD, Trial

BACKBONE = STGCN(hidden_channels=4, hidden_dim=16)


@dataclass(frozen=True)
class Small:
    """A backbone as a user may define it: batch norm, one layer, dropout, and the mean over frames and persons."""

    hidden_dim: int = 16
    dropout: float = 0.5

    def build(self, skeleton):
        return SmallEncoder(self, 3 * len(skeleton.joints))


class SmallEncoder(nn.Module):
    def __init__(self, config, inputs):
        super().__init__()
        self.dim = config.hidden_dim
        self.norm = nn.BatchNorm1d(inputs)
        self.layer = nn.Linear(inputs, self.dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, x, present, rewire=None):
        samples, _, frames, _, persons = x.shape
        x = x.permute(0, 2, 4, 1, 3).reshape(samples * frames * persons, -1)  # (N T M, C V)
        x = self.dropout(self.layer(self.norm(x)).relu())
        return x.view(samples, frames * persons, -1).mean(dim=1)


MOCO = {"queue": 32, "dim": 8, "m": 0.9}
TRIAL = Trial(
    benchmark="tiny",
    protocol="xsub",
    backbone=Small(),
    method=SkeletonCLR(**MOCO),
    optimizer=SGD(milestones=(3,)),
    epochs=4,
    batch_size=8,
)


def sequences(samples=6, frames=14, joints=25, persons=2, seed=0, dtype=torch.float32, absent=True):
    """Random walks (N, 3, T, V, M); where ``absent``, every other sample lacks its second person."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 3, 1, joints, persons)) + rng.normal(0, 0.2, (samples, 3, frames, joints, persons))
    x = torch.from_numpy(x).to(dtype)
    if absent and persons > 1:
        x[::2, ..., 1] = 0
    return x


def view(x=None, seed=0, epoch=1, skeleton=KINECT_V2, **shape):
    """A fresh view of a batch, of random walks unless one is given."""
    x = sequences(joints=len(skeleton.joints), **shape) if x is None else x
    return View.of(x, skeleton, Draws(seed, epoch))


def dataset(samples=36, frames=14, classes=3, subjects=6, seed=0, skeleton=KINECT_V1):
    """Noisy performances of one movement a class, by subjects in turn, one person of two."""
    rng = np.random.default_rng(seed)
    label, subject = np.arange(samples) % classes, np.arange(samples) // classes % subjects + 1
    time = np.linspace(0, 2 * np.pi, frames)[None, :, None]
    joints = len(skeleton.joints)
    shape = np.random.default_rng(1000).normal(size=(classes, 3, 1, joints))
    wave = np.sin(time * (1 + label[:, None, None]))[:, None]  # (N, 1, T, 1)
    body = shape[label] * (1 + wave) + rng.normal(0, 0.1, (samples, 3, frames, joints))
    x = np.zeros((samples, 3, frames, joints, 2), np.float32)
    x[..., 0] = body
    table = pd.DataFrame(dict.fromkeys(COLUMNS, 1), index=range(samples))
    table = table.assign(name=[f"s{i}" for i in range(samples)], label=label, subject=subject, source="tiny")
    names = tuple("abcdefghij"[:classes])
    return SkeletonDataset("tiny", x, np.arange(samples), table, skeleton, names, f"tiny{seed}")


def splits(data=None, **shape):
    """Subjects 1 to 4 train, 3 is held out of them, the others test."""
    data = dataset(**shape) if data is None else data
    subject = data.samples["subject"].to_numpy()
    train = data.subset(subject <= 4)
    return Splits(train, train.subset(train.samples["subject"].to_numpy() == 3), data.subset(subject > 4))


DSTA_BACKBONE = DSTA(layers=((4, 4, 2, 1), (4, 8, 2, 2)), subsets=2)
LEVELLED = Hierarchical(hidden_dim=8, granularity=2, s2s=Transformer(heads=2, dropout=0.0), frames=16)


def backbone_for(method):
    """A small one that has what the method asks for: levels, a feature map, or nothing in particular."""
    if isinstance(method, HiCo):
        return LEVELLED
    return BACKBONE if getattr(method, "eadm", None) else TRIAL.backbone


def streams_for(method):
    across = isinstance(method, CrosSCLR) or getattr(method, "cross_streams", False)
    return ("joint+motion+bone", "motion+joint") if across else STREAMS


def model(method, skeleton=KINECT_V2, stream=None, seed=0, backbone=None, dtype=torch.float32):
    """A model with weights decided by the seed, without dropout; of the first stream and backbone that fit by default."""
    backbone = backbone_for(method) if backbone is None else backbone
    if hasattr(backbone, "dropout"):
        backbone = replace(backbone, dropout=0.0)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return method.build(backbone, skeleton, streams_for(method)[0] if stream is None else stream).to(dtype)


def flat(keys):
    """What a step enqueues as one (., D) tensor."""
    parts = keys.values() if isinstance(keys, dict) else [keys]
    return torch.cat([part.flatten(0, -2) for part in parts])


def queues(model):
    return [module for module in model.modules() if isinstance(module, Queue)]


def same_state(a, b):
    """Whether two nested states are equal to the last bit."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_state(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_state, a, b))
    return a == b
