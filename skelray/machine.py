"""Settings of the machine that skelray runs on: device, threads and the memory allocator."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from skelray.checks import MOST_THREADS, UserError, check_whole
from skelray.names import PRECISIONS

_GROUP = Path("/sys/fs/cgroup")
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


@cache
def keep_memory() -> bool:
    """Makes glibc keep freed memory instead of returning large tensors to the kernel. Returns whether that worked.

    Otherwise every activation is faulted in again page by page, which costs a CPU a third of its training time.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 256 * 2**20))
    return all(libc.mallopt(parameter, value) == 1 for parameter, value in settings)


def choose_device(name: str | None = None) -> torch.device:
    """Returns the device of this name, by default CUDA if there is one. Raises UserError if this machine lacks it."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device {name!r} is none of cpu, cuda, cuda:0, ...") from None
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as it asks for, to sum in one order
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {name!r}: this machine has no CUDA device; leave --device out or give cpu")
    return device


def cpus() -> int:
    """Returns how many CPUs this process may use, by its affinity and its control group's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # of version 2, and of version 1
        with contextlib.suppress(OSError, ValueError):  # no control group, or one without a limit
            quota, period = " ".join((_GROUP / file).read_text() for file in files).split()
            if int(quota) > 0:
                bound = max(1, min(bound, math.ceil(int(quota) / int(period))))
    return bound


def check_threads(threads: int) -> None:
    """Raises UserError for more threads than this process may use CPUs."""
    if threads > cpus():
        raise UserError(f"--threads {threads}: this process may use {cpus()} CPUs; give at most so many")


def configure_process(threads: int) -> None:
    """Prepares this process for training: freed memory is kept, and torch uses this many threads."""
    check_whole("threads", threads, 1, MOST_THREADS)
    keep_memory()
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def forget_peak() -> None:
    """Lets ``peak_memory`` begin anew, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Returns the bytes of memory that this process has had at most; 0 if the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
    except (OSError, ValueError):
        return 0


def precisions(device: torch.device) -> tuple[str, ...]:
    """Returns the precisions in which the device computes."""
    return tuple(one for one in PRECISIONS if one != "tf32" or device.type == "cuda")


def compute_in(precision: str, device: torch.device) -> None:
    """Sets the precision of a CUDA device's matrix products and convolutions, and makes equal runs give equal bits.

    By default torch computes convolutions in TF32 (products of ten bits) and matrix products in float32. Here "float32" uses
    TF32 for neither and "tf32" for both. Raises UserError for tf32 on another device.
    """
    if device.type != "cuda":
        if precision == "tf32":
            raise UserError(f"precision tf32: only a CUDA device computes in it; on {device.type} give float32 or bfloat16")
        return
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


def describe_device(device: torch.device) -> str:
    """Returns the device as result tables name it; with threads, which decide the order of sums on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}"


@contextmanager
def seeding(device: torch.device, seed: int) -> Iterator[None]:
    """Seeds torch's own generators within the block and restores them afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def provenance(device: torch.device) -> dict[str, str]:
    """Returns where a number comes from: device, versions and, in a checkout, the commit."""
    version = f"skelray {metadata.version('skelray')}, torch {torch.__version__}"
    return {"device": describe_device(device), "version": version, "commit": _commit()}


@cache
def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
