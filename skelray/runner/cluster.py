"""The Ray cluster that a study runs on: joined or started here, its device, and how many trials it holds at once."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass
from typing import Any

from skelray import machine
from skelray.checks import UserError

# Before ray is imported: no banner, no usage report, no copies of worker output; Ctrl-C stops us, not Tune alone.
ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
}
for name, value in ENVIRONMENT.items():
    os.environ.setdefault(name, value)

import ray  # noqa: E402


@dataclass(frozen=True)
class Cluster:
    """address: of a cluster to join; None: a local one of ``cpus``, by default this machine's. per_gpu: trials a GPU."""

    address: str | None = None
    per_gpu: int = 1
    cpus: int | None = None


def device_of_trials(name: str | None, joined: bool) -> str:
    """The device of that name, by default CUDA where there is one. joined: the cluster is not this machine alone.

    Of such a cluster its nodes decide, whatever the driver has. Raises UserError for what is not there.
    """
    if name is not None and name.startswith("cuda:") and name != "cuda:0":
        raise UserError(f"device {name!r}: Ray gives each trial a GPU of its own; give cuda, or run with --inline")
    if not joined or name not in (None, "cuda", "cuda:0"):
        return machine.choose_device(name).type
    if ray.cluster_resources().get("GPU", 0) > 0:
        return "cuda"
    if name is not None:
        raise UserError(f"device {name!r}: no node of the cluster has a GPU; leave --device out or give cpu")
    return "cpu"


def connect(cluster: Cluster) -> None:
    """Joins the cluster, or starts a local one."""
    local: dict[str, Any] = {} if cluster.address else {"num_cpus": cluster.cpus, "include_dashboard": False}
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except ValueError as error:  # an address that none can be
        raise UserError(f"address {cluster.address!r}: {error}") from error
    logging.getLogger("ray.tune").setLevel(logging.ERROR)


def slots(resources: dict[str, float]) -> int:
    """How many trials of these needs the cluster holds at once. Raises UserError where it is none."""
    fits = 0
    for node in ray.nodes():
        has = node["Resources"] if node["Alive"] else {}
        cpu, gpu = has.get("CPU", 0.0), has.get("GPU", 0.0)
        by_gpu = math.floor(gpu / resources["gpu"] + 1e-9) if resources.get("gpu") else math.inf
        fits += int(min(cpu // resources["cpu"], by_gpu))
    if not fits:
        raise UserError(f"no node of the cluster can hold a trial that needs {resources}: ask for fewer --threads")
    return fits
