"""Looks at what a run needs on this machine: each finding is a line, with the way to mend it where it is not fine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from skelray import machine
from skelray.checks import UserError
from skelray.data import DataError, open_dataset
from skelray.runner.head import answers
from skelray.runner.joining import check_token, resolve_address
from skelray.runner.versions import versions
from skelray.store import lock
from skelray.store.remote import check_answers
from skelray.store.store import Store

LITTLE = 2**30  # bytes free on a disk, below which a study is likely to fill it
SHARED = 64 * 2**20  # bytes of /dev/shm that Ray needs at least


class Diagnosis(NamedTuple):
    """A finding on one thing; fine: nothing has to be done about it."""

    name: str
    said: str
    fine: bool = True


def examine(data: Path, store: str, results: Path, address: str | None = None) -> list[Diagnosis]:
    """Returns all findings. An examination that fails is a finding, too."""
    asked: list[tuple[str, Callable[[], Diagnosis]]] = [
        ("packages", examine_packages),
        ("device", examine_device),
        ("CPUs", lambda: Diagnosis("CPUs", f"{machine.cpus()} of {os.cpu_count()} may be used")),
        ("Ray", lambda: examine_ray(address)),
        ("token", examine_token),
        ("home", examine_home),
        ("shared memory", examine_shared_memory),
        ("temporary files", lambda: examine_folder("temporary files", Path(tempfile.gettempdir()), "give --ray-tmp")),
        ("tables", lambda: examine_folder("tables", results, "give --results")),
        ("store", lambda: examine_store(store)),
        ("data", lambda: examine_data(data)),
    ]
    return list(_each(asked))


def _each(asked: list[tuple[str, Callable[[], Diagnosis]]]) -> Iterator[Diagnosis]:
    for name, ask in asked:
        try:
            yield ask()
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            yield Diagnosis(name, " ".join(str(error).split()), fine=False)


def examine_packages() -> Diagnosis:
    """Returns the packages' versions, and whether all are there."""
    said = versions()
    return Diagnosis("packages", said, "not installed" not in said)


def examine_device() -> Diagnosis:
    """Returns what trials run on."""
    if not torch.cuda.is_available():
        return Diagnosis("device", "no CUDA device: trials run on the CPU")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return Diagnosis("device", ", ".join(names))


def examine_ray(address: str | None) -> Diagnosis:
    """Returns whether a cluster can be joined; without an address, whether a run's own one works."""
    if address is not None:
        return Diagnosis("Ray", f"the cluster at {resolve_address(address)} can be joined")
    said, fine = "a run without --address has Ray of its own", True
    if others := sorted(heads_here()):
        said += f"; a head runs here at {' and at '.join(others)}, which --address auto joins"
    if found := os.environ.get("RAY_ADDRESS"):
        fine = found in ("auto", "local") or ("://" not in found and answers(found))
        why = "and a head is joined as HOST:PORT" if "://" in found else "and no head answers there"
        said += f"; RAY_ADDRESS={found} is followed by --address auto alone"
        said += "" if fine else f", {why}: unset it"
    return Diagnosis("Ray", said, fine)


def heads_here() -> set[str]:
    """Returns the addresses of Ray's heads that run on this machine, for whomever."""
    from ray._private.services import find_gcs_addresses  # as `ray status` finds them

    addresses: set[str] = find_gcs_addresses()
    return {address for address in addresses if answers(address)}


def examine_home() -> Diagnosis:
    """Returns whether the home folder can be written to; a run does without."""
    home = Path.home()
    if os.access(home, os.W_OK | os.X_OK):
        return Diagnosis("home", f"{home} can be written to")
    return Diagnosis("home", f"{home} cannot be written to: a run gives its Ray a token that ends with it")


def examine_token() -> Diagnosis:
    """Returns where Ray's token is from; the token is never shown."""
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        return Diagnosis("token", "RAY_AUTH_MODE=disabled: who reaches Ray's ports can run code here; unset it", fine=False)
    check_token()
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        if os.environ.get(name):
            return Diagnosis("token", f"that of {name}")
    file = Path.home() / ".ray" / "auth_token"
    if file.is_file():
        return Diagnosis("token", f"that of {file}")
    return Diagnosis("token", f"none in {file}: Ray makes one, or the run has one of its own")


def examine_shared_memory() -> Diagnosis:
    """Returns whether Ray's object store has room."""
    free = shutil.disk_usage("/dev/shm").free
    way = "" if free >= SHARED else "; give the container more, as with `docker run --shm-size=1g`"
    return Diagnosis("shared memory", f"{free / 2**20:.0f} MiB of /dev/shm are free{way}", free >= SHARED)


def examine_folder(name: str, folder: Path, way: str) -> Diagnosis:
    """Returns whether a folder, or the one that it will lie in, can be written to and has room."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return Diagnosis(name, f"{there} cannot be written to: {way} that can", fine=False)
    free = shutil.disk_usage(there).free
    return Diagnosis(
        name, f"{free / 2**30:.1f} GiB are free in {there}{'' if free > LITTLE else f': {way} with room'}", free > LITTLE
    )


def examine_store(root: str) -> Diagnosis:
    """Returns whether the store answers, and how it keeps two runs from one trial."""
    store = Store(root)
    if not store.local:
        check_answers(root)
        return Diagnosis("store", f"{root} answers; claims are leases")
    finding = examine_folder("store", Path(store.path), "give --store")
    place = Path(store.path)
    if not finding.fine or not place.is_dir():
        return finding
    probe = place / ".lock"
    probe.touch()
    return finding._replace(
        said=f"{finding.said}; claims are {'locks' if lock.locks_work(probe) else 'leases: it has no locks'}"
    )


def examine_data(root: Path) -> Diagnosis:
    """Returns which data sets are prepared, after opening each."""
    found, wrong = [], []
    for place in sorted(root.iterdir()) if root.is_dir() else []:
        if not place.is_dir():
            continue
        try:
            found.append(f"{place.name} ({len(open_dataset(root, place.name))})")
        except (DataError, UserError, OSError) as error:
            wrong.append(f"{place.name}: {error}")
    said = ", ".join(found) if found else f"none in {root}: `skelray prepare` makes them, `--demo` generates one"
    return Diagnosis("data", "; ".join([said, *wrong]), not wrong)
