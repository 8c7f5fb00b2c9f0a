"""What a search costs beside its trials: seconds a sample, of one proposal early and late, and memory; inline and on Ray.

A surrogate stands for training: its accuracy is a known function of the point, at once. What the sampler takes itself is
measured beside it: a proposal of Optuna's own, in memory, among the same samples. Proposals are in time of the processor, so
that what runs beside does not count.

    python3 benchmarks/search_speed.py --samples 2000
    python3 benchmarks/search_speed.py --samples 2000 --promotion
    python3 benchmarks/search_speed.py --samples 200 --ray
"""

import argparse
import os
import resource
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

import optuna
from optuna.trial import TrialState

from skelray import ASHA, TPE, HiCLR, Random, Sweep, papers
from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic
from skelray.names import HELD_OUT
from skelray.runner import active_jobs
from skelray.runner.context import Settings
from skelray.runner.inline import run_inline
from skelray.runner.job import Listener
from skelray.runner.run import Run
from skelray.search.optuna_study import frozen_trial
from skelray.search.search import Search
from skelray.study.scale import Scale
from skelray.training import Report

SMALL = (("queue", 32), ("dim", 8), ("m", 0.9), ("hidden_channels", 2), ("hidden_dim", 8), ("frames", 8), ("batch_size", 64))


def space(trial):
    tau, weight = trial.suggest_float("tau", 0.03, 0.3, log=True), trial.suggest_float("lambda_h", 0.05, 5.0, log=True)
    return replace(papers.HICLR, method=HiCLR(tau=tau, lambda_h=weight), evaluations=())


def surrogate(trial, splits, stored, device, load=None, join=None, wait=True):
    """Reports of a trial whose accuracy is known."""
    for epoch in range(1, trial.epochs + 1):
        height = 1 / (1 + abs(trial.method.tau - 0.12)) * (1 - 0.5 / epoch)
        yield Report(epoch, {"loss": 1.0, **({HELD_OUT: height} if trial.monitor.due(epoch, trial.epochs) else {})}, 0.001)


def run_of(folder, sampler, samples, epochs, promotion=False):
    sweep = Sweep(space=space, samples=samples, sampler=sampler, stopping=ASHA(grace=25, reduction=3, promotion=promotion))
    scale = Scale("synthetic", ("xview",), epochs, (0,), changes=SMALL)
    return Run("speed", sweep, scale, Settings(folder / "data", str(folder / "store"), folder / "results", device="cpu"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--promotion", action="store_true", help="samples wait at a rung until they are promoted")
    parser.add_argument("--ray", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        prepare(synthetic(subjects=2, replications=1), None, Path(name) / "data", Preprocessing("centred", 16))
        if asked.ray:
            on_ray(Path(name), asked.samples)
        else:
            for sampler in (Random(), TPE()):
                inline_run(Path(name), sampler, asked.samples, asked.promotion)


def inline_run(folder, sampler, samples, promotion=False):
    run, took = run_of(folder, sampler, samples, 12, promotion), {}
    propose, promote = Search.propose, Search.promote

    def timed(call):
        def told(search):
            clock = time.process_time()
            found = call(search)
            number = len(search.samples)
            took[number] = took.get(number, 0.0) + time.process_time() - clock
            return found

        return told

    trained, active_jobs.in_turns = active_jobs.in_turns, surrogate
    Search.propose, Search.promote = timed(propose), timed(promote)
    try:
        before, clock, cpu = memory(), time.perf_counter(), time.process_time()
        run_inline(run)
        spent, cpu = time.perf_counter() - clock, time.process_time() - cpu
    finally:
        active_jobs.in_turns, Search.propose, Search.promote = trained, propose, promote
    grown, by_number = memory() - before, [took[number] for number in sorted(took)]
    early, late = median(by_number[10:30]), median(by_number[-21:-1])
    own = [sampler_alone(run.work.search, sampler, at) for at in (20, samples)]
    print(
        f"{type(sampler).__name__}{', promotion' if promotion else ''}: {samples} samples in {spent:.1f} s ({cpu:.1f} s of "
        f"processor), of which proposals {sum(by_number):.1f} s; a proposal {1000 * early:.1f} ms at sample 20, "
        f"{1000 * late:.1f} ms at {samples}, of which the sampler alone takes {1000 * own[0]:.1f} and "
        f"{1000 * own[1]:.1f} ms; "
        f"{grown:.0f} MiB more memory",
        flush=True,
    )


def memory():
    """The most that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sampler_alone(search, sampler, samples):
    """Seconds of a proposal of Optuna's among the first samples, in memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    how = "read" if sampler.reads_stopped else "ended"
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        alone = optuna.create_study(direction="maximize", sampler=sampler.build(0))
    alone.add_trials([frozen_trial(search.samples[number], how) for number in range(samples)])
    took = []
    for _ in range(21):
        clock = time.process_time()
        trial = alone.ask()
        trial.suggest_float("tau", 0.03, 0.3, log=True)
        trial.suggest_float("lambda_h", 0.05, 5.0, log=True)
        took.append(time.process_time() - clock)
        alone.tell(trial, state=TrialState.FAIL)
    return median(took)


def on_ray(folder, samples):
    """Trials of an epoch that take no time, on two slots: what is left is Ray's and skelray's own."""
    import surrogate as mock

    from skelray.runner.on_ray import Cluster, ray, run_on_ray

    hook = {"worker_process_setup_hook": "surrogate.install", "env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=hook)
    mock.install()
    for name, count in (("first", 4), ("second", samples)):  # workers start with the first
        (folder / name).mkdir()
        run = mock.make_run(folder / name, folder / "data", "Never", Random(), count)
        clock, cpu = time.perf_counter(), time.process_time()
        run_on_ray(run, None, Listener(), Cluster())
        clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    print(
        f"on Ray, 2 slots: {samples} samples of {mock.EPOCHS} epochs in {clock:.1f} s, {clock / samples:.2f} s a sample; "
        f"the driver's own processor {1000 * cpu / samples:.0f} ms a sample"
    )
    ray.shutdown()


if __name__ == "__main__":
    main()
