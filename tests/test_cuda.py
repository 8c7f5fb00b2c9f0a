"""The CUDA path is the same code: features, a training epoch and checkpoints across devices."""

import pytest
import tiny
import torch

from skelray.backbones import STGCN
from skelray.evaluation import KNN
from skelray.skeleton import KINECT_V2
from skelray.training import Pretraining

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")


def test_features_are_those_of_the_cpu():
    encoder = STGCN(hidden_channels=4, hidden_dim=32).build(KINECT_V2).eval()
    x, present = tiny.sequences(frames=50), torch.ones(6, 2, dtype=torch.bool)
    expected = encoder(x, present)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    actual = encoder.cuda()(x.cuda(), present.cuda()).cpu()
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_epoch_and_its_checkpoint(precision):
    from dataclasses import replace

    splits = tiny.splits()
    trial = replace(tiny.TRIAL, precision=precision)
    there = Pretraining(trial, splits, torch.device("cuda"))
    report = there.train_epoch()
    assert report.metrics["loss"] > 0
    here = Pretraining(trial, splits, torch.device("cpu"))
    here.load_state(there.state())
    assert here.epoch == 1
    scores = KNN()(there.frozen(), splits.train, splits.test)
    assert scores.shape == (len(splits.test), len(splits.test.classes))
