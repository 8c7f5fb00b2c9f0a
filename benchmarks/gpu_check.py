"""What has to be found out on a card, in one command of at most ten minutes: is the static step right, and how fast is it.

    python benchmarks/gpu_check.py --out results/bench --budget 540

Parts in the order of their weight, each within a limit of its own: the card and its rates; the captured step against the
same made call by call, equal runs, and a run cut and resumed, to the bit; gradients in each precision against float64; speed
of the plain layout, of a loader-fed loop over it, and of the engine; trials in lanes, and accuracy in each precision
(``gpu_lanes.py``); the longest kernels. Every finding is a line of gpu_check.jsonl as soon as it is known; what the time did
not suffice for is named in the last. Without a card

    python benchmarks/gpu_check.py --device cpu --tiny --out /tmp/check

rehearses every part on small shapes; its figures say nothing.
"""

import argparse
import copy
import json
import statistics
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from skelray import machine
from skelray.augment import CounterDraws, View
from skelray.augment.counters import Clock
from skelray.bench import bench, launches, static
from skelray.engine.lane_rate import STEPS
from skelray.skeleton import KINECT_V2

sys.path.append(str(Path(__file__).parent))
from gpu_lanes import accuracy, packs
from speed_against_plain import plain_step

ORDER = ("skeletonclr", "hiclr", "hiclr_dsta", "hico_gru", "aimclr", "crossclr", "hico_lstm", "hico_transformer")
SHARES = {"card": 0.03, "right": 0.15, "gradients": 0.1, "speed": 0.4, "packs": 0.15, "accuracy": 0.12, "kernels": 0.05}


class Check:
    """A run of the check: what device, how large, until when, and where its lines go."""

    def __init__(self, options):
        self.device = machine.choose_device(options.device)
        self.cuda, self.tiny, self.budget = self.device.type == "cuda", options.tiny, options.budget
        self.methods = ORDER[:1] if self.tiny else ORDER
        options.out.mkdir(parents=True, exist_ok=True)
        self.path = options.out / "gpu_check.jsonl"
        self.until, self.left = 0.0, []

    def say(self, part, **found):
        with self.path.open("a") as file:
            file.write(json.dumps({"part": part, **found}) + "\n")

    def trial(self, name, **changes):
        trial = bench.METHODS[name]
        if self.tiny:
            trial = replace(trial.small(), batch_size=4)
            trial = replace(trial, method=replace(trial.method, queue=32, dim=8))
        return replace(trial, **changes)

    def each_method(self, part):
        """The methods, as long as the part has time; the others are named."""
        for name in self.methods:
            if time.perf_counter() > self.until:
                self.left.append(f"{part} {name}")
                continue
            try:
                yield name
            except torch.cuda.OutOfMemoryError:
                self.say(part, method=name, error="out of memory")

    def timed(self, step, warm_up=3, repeats=20):
        """Median seconds of a step."""
        warm_up, repeats = (1, 1) if self.tiny else (warm_up, repeats)
        for _ in range(warm_up):
            step()
        return statistics.median(bench.timed(step, self.device) for _ in range(repeats))


def card(check):
    """Rates of copies and products, and what an operation costs the host."""
    size = 256 if check.tiny else 8192
    x = torch.zeros(size, size, device=check.device)
    found = {"copy_tb_s": 2 * x.nbytes / check.timed(lambda: x.clone()) / 1e12}
    for precision in machine.precisions(check.device):
        machine.compute_in(precision, check.device)
        a = torch.randn(size, size, device=check.device).to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
        found[f"{precision}_tflop_s"] = 2 * size**3 / check.timed(lambda a=a: a @ a) / 1e12
    small, count = torch.zeros(1, device=check.device), 100 if check.tiny else 1000
    found["eager_us"] = check.timed(lambda: [small.add_(1) for _ in range(count)]) / count * 1e6
    if check.cuda:
        graph = captured(lambda: [small.add_(1) for _ in range(count)])
        found["node_us"] = check.timed(graph.replay) / count * 1e6
        found["driver"] = torch.cuda.get_device_properties(check.device).name
    check.say("card", **machine.provenance(check.device), cuda=torch.version.cuda, **found)


def captured(work):
    """The work as a graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def right(check):
    """Captured against call by call, two runs, and a run cut and resumed."""
    steps = 2 if check.tiny else 20
    for name in check.each_method("right"):
        trial = check.trial(name, precision="float32", batch_size=4 if check.tiny else 16)
        replayed, again, stepwise = (static.pretraining(trial, check.device, steps) for _ in range(3))
        stepwise.step_by_step()
        first, second, third = (one.train_epoch().metrics["loss"] for one in (replayed, again, stepwise))
        cut = static.pretraining(trial, check.device, steps)
        cut.load_state(copy.deepcopy(again.state()))
        ends = [one.train_epoch().metrics for one in (replayed, cut)]
        states = [one.model.state_dict() for one in (replayed, cut)]
        check.say(
            "right",
            method=name,
            captured=replayed.captured,
            against_calls=abs(first - third) / abs(third),
            runs_equal=first == second,
            resumed_equal=ends[0] == ends[1] and all(torch.equal(states[0][key], states[1][key]) for key in states[0]),
        )


def gradients(check):
    """Cosine of a step's gradient with that in float64 on a CPU, from equal draws, without dropout."""
    for name in check.each_method("gradients"):
        trial = check.trial(name, batch_size=4)
        if hasattr(trial.backbone, "dropout"):
            trial = replace(trial, backbone=replace(trial.backbone, dropout=0.0))
        torch.manual_seed(0)
        model = trial.method.build(trial.backbone, KINECT_V2, trial.stream).train()
        x = torch.randn(4, 3, trial.frames, len(KINECT_V2.joints), 2)
        exact = gradient(trial, copy.deepcopy(model).double(), x.double())
        for precision in machine.precisions(check.device):
            machine.compute_in(precision, check.device)
            there = copy.deepcopy(model).to(check.device)
            there.autocast = torch.bfloat16 if precision == "bfloat16" else None
            found = gradient(trial, there, x.to(check.device)).cpu().double()
            cosine = torch.nn.functional.cosine_similarity(found, exact, dim=0).item()
            check.say("gradients", method=name, precision=precision, cosine=cosine)


def gradient(trial, model, x):
    draws = CounterDraws(0, 1, Clock.of(0, x.device))
    trial.method.loss(model, trial.method.views(View.of(x, KINECT_V2, draws)), 1).loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def speed(check):
    """The plain layout, captured and not, a loader-fed loop over it, and the engine in each precision."""
    for name in check.each_method("speed"):
        batch = check.trial(name).batch_size
        batch = min(batch, 32) if name == "hiclr_dsta" else batch  # all that its plain side may hold
        machine.compute_in("tf32" if check.cuda else "float32", check.device)  # as the released loop is run
        step = plain_step(name, str(check.device), 2 if check.tiny else batch)
        say = partial(say_speed, check, name, batch)
        say("plain", check.timed(step))
        if not name.startswith("hico"):
            say("loader-fed plain", loader_fed(check, name, step, batch))
        if check.cuda:
            graph = captured(step)  # its time alone: momentum would have to keep its tensors to be right
            say("plain, captured", check.timed(graph.replay))
            del graph
        del step
        counted = launches.of_step(check.trial(name)).total()
        for precision in machine.precisions(check.device):
            trial = check.trial(name, precision=precision, batch_size=batch)
            found = static.rate(trial, check.device, 2 if check.tiny else 20)
            more = {"mib": found.memory, "prepared_s": found.prepared, "captured": found.captured, "launches": counted}
            say(f"engine, {precision}", found.seconds, **more)


def say_speed(check, name, batch, side, seconds, **more):
    rate = batch / seconds
    check.say("speed", method=name, batch=batch, side=side, ms=1e3 * seconds, samples_per_second=rate, **more)


class Sheared(torch.utils.data.Dataset):
    """Sequences that are cropped and sheared one by one in numpy, as released loaders do."""

    def __init__(self, count):
        self.x = np.random.default_rng(0).normal(size=(count, 3, 50, 25, 2)).astype(np.float32)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return [self._view(self.x[i]) for _ in range(2)]

    @staticmethod
    def _view(x):
        drawn = np.random.default_rng()
        start = drawn.integers(0, 17)
        padded = np.concatenate((x[:, :8][:, ::-1], x, x[:, -8:][:, ::-1]), axis=1)[:, start : start + 50]
        shear = np.eye(3, dtype=np.float32) + drawn.uniform(-0.5, 0.5, (3, 3)).astype(np.float32) * (1 - np.eye(3))
        return np.einsum("ij,jtvm->itvm", shear, padded).astype(np.float32)


def loader_fed(check, name, step, batch):
    """Seconds of a plain step whose batch comes from a loader's workers and whose loss is read each time."""
    steps, workers = (1, 0) if check.tiny else (20, 8)
    batch = 2 if check.tiny else batch
    data = Sheared(batch * (steps + (1 if check.tiny else 5)))
    loader = torch.utils.data.DataLoader(data, batch, num_workers=workers, drop_last=True)
    seconds, before = [], time.perf_counter()
    for views in loader:
        for view in views:
            view.to(check.device)
        step()
        torch.zeros(1, device=check.device).item()
        seconds.append(time.perf_counter() - before)
        before = time.perf_counter()
    return statistics.median(seconds[-steps:])


def kernels(check):
    """The kernels that take most of an epoch of replayed steps, as torch's profiler has them; ncu is not asked."""
    if not check.cuda:
        check.say("kernels", skipped="no CUDA device, so no kernels")
        return
    from torch.profiler import ProfilerActivity, profile

    training = static.pretraining(check.trial("skeletonclr", precision="bfloat16"), check.device, STEPS)
    training.train_epoch()
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        training.train_epoch()
    events = sorted(found.key_averages(), key=lambda event: -event.self_device_time_total)
    for event in events[:12]:
        check.say("kernels", name=event.key[:120], us=event.self_device_time_total / STEPS, calls=event.count / STEPS)


PARTS = {"card": card, "right": right, "gradients": gradients, "speed": speed, "packs": packs}
PARTS |= {"accuracy": accuracy, "kernels": kernels}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True, help="a folder, for gpu_check.jsonl")
    parser.add_argument("--budget", type=float, default=540, help="seconds for all parts together")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be given several times")
    parser.add_argument("--tiny", action="store_true", help="small shapes and one method: a rehearsal")
    options = parser.parse_args(arguments)
    check = Check(options)
    for part in options.part or PARTS:
        check.until = time.perf_counter() + SHARES[part] * check.budget
        PARTS[part](check)
    check.say("end", left=check.left)


if __name__ == "__main__":
    main()
