"""Kills drivers of a surrogate sweep on a Ray cluster: python kill_on_ray.py ADDRESS FOLDER DATA RULE KILLS SEED.

Each driver is a fork of this process, killed with SIGKILL at a random moment after it has read the monitor; the next goes
on. When a sweep ends before there were so many kills, another begins in a folder of its own. Prints each folder that ended.
"""

import json
import os
import random
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import surrogate

from skelray import TPE
from skelray.runner import on_ray
from skelray.runner.on_ray import Cluster, Listener, ray, run_on_ray

CPUS = 2  # of the cluster; a trial takes them all, so that one is under way at a time, as inline
SAMPLES = 12


def drive(address, folder, data, rule):
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), surrogate.SECONDS: "0.05"}
    hook = {"worker_process_setup_hook": "surrogate.install", "env_vars": environment}
    ray.init(address=address, log_to_driver=False, runtime_env=hook)
    surrogate.install()
    on_ray.asking = lambda *given: nullcontext()  # the only node is this machine
    run = surrogate.make_run(folder, data, rule, TPE(startup=2), SAMPLES, threads=CPUS)
    run_on_ray(run, None, Listener(), Cluster())


def readings(folder):
    """How many its ledger has."""
    found = 0
    for path in folder.glob("store/sweeps/*/0*.json"):
        with suppress(OSError, ValueError):  # it is being replaced
            found += sum(map(len, json.loads(path.read_text())["readings"].values()))
    return found


def killed(draw, folder, *driven):
    """Whether a driver was killed before it had ended."""
    before, child = readings(folder), os.fork()
    if not child:
        try:
            drive(driven[0], folder, *driven[1:])
            os._exit(0)
        finally:
            os._exit(1)
    status = (0, 0)
    while readings(folder) <= before and status[0] == 0:
        time.sleep(0.02)
        status = os.waitpid(child, os.WNOHANG)
    if status[0] == 0:
        time.sleep(draw.uniform(0.0, 0.6))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status[1]) and os.WEXITSTATUS(status[1]) != 0:
        sys.exit("a driver failed")
    return os.WIFSIGNALED(status[1])


def main(address, folder, data, rule, kills, seed):
    draw, left, ended = random.Random(int(seed)), int(kills), 0
    while left > 0:
        own = Path(folder) / str(ended)
        own.mkdir()
        while killed(draw, own, address, Path(data), rule):
            left -= 1
        ended += 1
        sys.stdout.write(f"{own}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
