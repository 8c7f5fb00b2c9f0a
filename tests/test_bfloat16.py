"""bfloat16 in software is bfloat16: a training step in it is the step of torch's own kernels, but for how sums round."""

from dataclasses import replace

import pytest
import torch
from software_bfloat16 import SoftwareBfloat16
from tiny import TRIAL, splits

from skelray import HiCLR, HiCo, Hierarchical, SkeletonCLR
from skelray.backbones import DSTA, GRU, STGCN
from skelray.training import Pretraining

CASES = {
    "skeletonclr": (SkeletonCLR(queue=32, dim=8), STGCN(hidden_channels=4, hidden_dim=16)),
    "hiclr on dsta": (HiCLR(queue=32, dim=8), DSTA(layers=((4, 8, 4, 1), (8, 16, 4, 2)))),
    "hico": (HiCo(queue=32, dim=8), Hierarchical(s2s=GRU(), hidden_dim=16)),
}


def gradients(trial, software):
    training = Pretraining(trial, splits(), torch.device("cpu"))
    (view, *_) = training.batches(1)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        if software:
            with SoftwareBfloat16():
                step = training.trial.method.loss(training.model, trial.method.views(view), 1)
                step.loss.backward()
        else:
            step = training.trial.method.loss(training.model, trial.method.views(view), 1)
            step.loss.backward()
    return step.loss.detach(), [p.grad for p in training.model.query.parameters() if p.grad is not None]


def apart(a, b):
    """The distance of two lists of tensors over the length of the first."""
    flat_a, flat_b = (torch.cat([t.flatten() for t in tensors]) for tensors in (a, b))
    return ((flat_a - flat_b).norm() / flat_a.norm()).item()


@pytest.mark.parametrize("case", CASES)
def test_a_step_in_software_is_one_of_torchs_kernels(case):
    """Nearer to it than either is to float32, and within what the last bit of bfloat16 (2^-8) moves."""
    method, backbone = CASES[case]
    trial = replace(TRIAL, method=method, backbone=backbone, precision="bfloat16", epochs=1)
    (loss, native), (soft_loss, soft) = gradients(trial, False), gradients(trial, True)
    _, exact = gradients(replace(trial, precision="float32"), False)
    torch.testing.assert_close(soft_loss, loss, rtol=2**-8, atol=0)
    assert apart(exact, native) > 0
    assert apart(native, soft) < apart(exact, native)
