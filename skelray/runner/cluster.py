"""The Ray cluster that a study runs on: joined or started here, and the device of its trials."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skelray import machine
from skelray.checks import UserError
from skelray.runner import ending
from skelray.runner.head import watching_head
from skelray.runner.joining import check_token, resolve_address
from skelray.runner.own_folder import folder_for_ray

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

log = logging.getLogger("skelray")


@dataclass(frozen=True)
class Cluster:
    """The cluster of a run.

    address: of one to join; None: one of its own, of ``cpus``, by default those that this process may use.

    per_gpu: processes that share a GPU; lanes: the most trials of a pack on one, None: no packs. tmp: the folder below which
    Ray keeps the files of a cluster of one's own.
    """

    address: str | None = None
    per_gpu: int = 1
    lanes: int | None = None
    cpus: int | None = None
    tmp: Path | None = None


def device_of_trials(name: str | None, joined: bool) -> str:
    """Returns the device of that name, by default CUDA if there is one. joined: the cluster is not this machine alone.

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


@contextmanager
def join_or_start(cluster: Cluster) -> Iterator[None]:
    """Joins the cluster, or starts one of its own, whose files are gone at the end. Raises UserError where it cannot."""
    if cluster.address is None:
        with folder_for_ray(cluster.tmp) as folder:
            try:
                _start(cluster, folder)
                with watching_head(ray.get_runtime_context().gcs_address):
                    yield
            finally:
                _leave()
        return
    address = resolve_address(cluster.address)
    try:
        with ending.restoring_handler():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        with watching_head(ray.get_runtime_context().gcs_address):
            yield
    finally:
        _leave()


def _leave() -> None:
    """Leaves the cluster, unless it has lost its head: Ray would wait for it."""
    if not ending.is_lost():
        ray.shutdown()


def _start(cluster: Cluster, folder: Path) -> None:
    if found := os.environ.get("RAY_ADDRESS"):
        log.warning("RAY_ADDRESS=%s is not followed: this run has Ray of its own; `--address auto` joins that one", found)
    _see_to_a_token()
    with ending.restoring_handler():
        ray.init(
            address="local",  # whatever else runs on this machine
            num_cpus=cluster.cpus or machine.cpus(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder),
        )


def _see_to_a_token() -> None:
    """Gives the cluster a token of its own where Ray could not keep one in the home folder."""
    check_token()
    if os.environ.get("RAY_AUTH_MODE") == "disabled" or {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        return
    place = Path.home() / ".ray"
    if (place / "auth_token").is_file() or os.access(place if place.is_dir() else place.parent, os.W_OK | os.X_OK):
        return
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
