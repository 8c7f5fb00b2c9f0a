"""What evaluations do on a CUDA device is what they do on a CPU: features from resident data, a static probe."""

from dataclasses import replace

import pytest
import tiny
import torch

from skelray.evaluation import Linear
from skelray.evaluation.classifier import Classifier
from skelray.evaluation.static_probe import train_static
from skelray.training import Pretraining


def test_features_from_resident_data_are_those_from_the_host():
    splits = tiny.splits()
    for frames in (None, 9):
        trained = Pretraining(replace(tiny.TRIAL, frames=frames), splits, torch.device("cpu"))
        here, there = trained.frozen_encoder(), trained.frozen_encoder()
        there.keeps_data = True
        for data in (splits.train, splits.test):
            torch.testing.assert_close(there.by_stream(data)[0], here.by_stream(data)[0])


@pytest.mark.parametrize("samples", [64, 70, 5], ids=["whole batches", "and a rest", "less than one"])
def test_the_static_probe_is_the_plain_loop(samples):
    """Over a milestone and two streams, in the same order."""
    evaluation = Linear(lr=0.5, epochs=4, milestones=(2,), batch_size=16)
    features = [torch.randn(samples, 12, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    labels, sides = torch.arange(samples) % 3, []
    for static in (False, True):
        generator = torch.Generator().manual_seed(0)
        classifier = Classifier([12, 12], 3, generator, "normal")
        if static:
            epochs = list(train_static(classifier, features, labels, generator, [0.5, 0.5, 0.05, 0.05], 16))
        else:
            epochs = list(evaluation.train(classifier, features, labels, generator))
        assert epochs == [1, 2, 3, 4]
        sides.append(classifier.state_dict())
    for name, expected in sides[0].items():
        torch.testing.assert_close(sides[1][name], expected, rtol=1e-4, atol=1e-6)
