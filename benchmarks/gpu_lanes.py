"""The parts of ``gpu_check.py`` on trials as lanes of one step: right, how fast, and accuracy by paired seeds."""

import statistics
import time
from dataclasses import replace

import numpy as np
import pandas as pd

from skelray import machine
from skelray.augment import CannotCapture
from skelray.bench import bench, static
from skelray.data.dataset import SkeletonDataset, Splits
from skelray.engine.engine import Engine
from skelray.engine.lane_rate import STEPS, lane_rates
from skelray.engine.pack import Pack
from skelray.engine.side_by_side import SideBySide
from skelray.evaluation import KNN, measure
from skelray.skeleton import KINECT_V2
from skelray.training import Pretraining

METHODS = ("skeletonclr", "hico_gru")  # one that fills a card, and one that does not
SEEDS = 10


def packs(check):
    """Lanes beside the trial alone: right, and how fast; as trials side by side in one graph, too."""
    for name in METHODS[:1] if check.tiny else METHODS:
        if time.perf_counter() > check.until:
            check.left.append(f"packs {name}")
            continue
        check.say("packs", method=name, against_alone=lanes_against_alone(check, name))
        trial, steps = check.trial(name), 1 if check.tiny else STEPS
        training = static.static_pretraining(trial, check.device, steps)
        counts = (1, 2) if check.tiny else (1, 2, 4, 8, 16)
        try:
            for rate in lane_rates(training.trial, training.data, training.model, check.device, counts):
                found = {"ms": 1e3 * rate.seconds, "samples_per_second": rate.steps * trial.batch_size}
                check.say("packs", method=name, lanes=rate.lanes, mib=rate.memory / 2**20, **found)
                if time.perf_counter() > check.until:
                    check.left.append(f"packs {name}, more than {rate.lanes} lanes")
                    break
        except CannotCapture as reason:
            check.say("packs", method=name, error=str(reason))
        beside = [static.static_pretraining(replace(trial, seed=seed), check.device, steps) for seed in range(2)]
        engines = [Engine(one.trial, one.data, one.model, one.optimizer, check.device) for one in beside]
        side = SideBySide(engines)
        side.epoch((1, 1))
        seconds = bench.measure_seconds(lambda side=side: side.epoch((2, 2)), check.device) / steps
        check.say("packs", method=name, side_by_side=2, ms=1e3 * seconds, samples_per_second=2 * trial.batch_size / seconds)


def lanes_against_alone(check, name):
    """The largest difference of losses of an epoch, relative, of two trials as lanes from each alone."""
    steps, trial = 2 if check.tiny else 10, check.trial(name, precision="float32", batch_size=4 if check.tiny else 16)
    alone, together = (
        [static.static_pretraining(replace(trial, seed=seed), check.device, steps) for seed in range(2)] for _ in "ab"
    )
    pack = Pack(2, together[0].trial, together[0].data, together[0].model, check.device)
    for one in together:
        one.join(pack)
    pack.train({one.lane: 1 for one in together})
    losses = [[one.train_epoch().metrics["loss"] for one in some] for some in (alone, together)]
    return max(abs(a - b) / abs(a) for a, b in zip(*losses, strict=True))


def accuracy(check):
    """KNN on sequences of known classes after equal training in each precision, seed by seed, all seeds as lanes."""
    seeds, epochs = (2, 1) if check.tiny else (SEEDS, 20)
    data = classes(32 if check.tiny else 2048)
    name = "skeletonclr"
    for precision in machine.precisions(check.device):
        if time.perf_counter() > check.until:
            check.left.append(f"accuracy {precision}")
            continue
        trial = check.trial(name, precision=precision, batch_size=16 if check.tiny else 128, epochs=epochs, monitor=None)
        tested = np.arange(len(data)) // 8 % 4 == 0  # of each class a quarter
        splits = Splits(*[data.subset(~tested)] * 2, data.subset(tested))
        trained = [Pretraining(replace(trial, seed=seed), splits, check.device, static=True) for seed in range(seeds)]
        pack = Pack(seeds, trial, splits.train, trained[0].model, check.device)
        for one in trained:
            one.join(pack)
        for epoch in range(1, epochs + 1):
            pack.train({one.lane: epoch for one in trained})
            for one in trained:
                one.train_epoch()
        found = [measure(KNN(k=1), one.frozen_encoder(), splits.train, splits.test).metrics["top1"] for one in trained]
        check.say("accuracy", method=name, precision=precision, top1=found, mean=statistics.mean(found))


def classes(count):
    """Sequences of 8 classes, each a movement of its own under noise that hides it in part."""
    rng, time_ = np.random.default_rng(0), np.linspace(0, 2 * np.pi, 50)
    label = np.arange(count) % 8
    shape = rng.normal(size=(8, 3, 1, len(KINECT_V2.joints), 1))
    wave = np.sin(time_[None] * (1 + label[:, None]))[:, None, :, None, None]
    x = (shape[label] * (1 + wave) + rng.normal(0, 2, (count, 3, 50, len(KINECT_V2.joints), 2))).astype(np.float32)
    table = pd.DataFrame({"label": label, "length": 50, "name": "", "subject": 1})
    names = tuple("abcdefgh")
    return SkeletonDataset("classes", x, np.arange(count), table, KINECT_V2, names, "classes")
