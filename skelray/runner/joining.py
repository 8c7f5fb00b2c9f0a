"""Whether a Ray cluster can be joined, found out in a process that may hang or be aborted instead of this one."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from skelray.checks import UserError

PATIENCE = 25.0  # seconds for the cluster to answer, once ray is imported
IMPORTS = 6.0  # or so many times what importing ray took, where that is more: a machine that is busy joins slowly
KNOCK = 5.0  # seconds for its machine to

# Ended by its own alarm, whatever Ray waits for.
_JOIN = """
import logging, signal, sys, time
began = time.monotonic()
import ray
patience = max(float(sys.argv[2]), float(sys.argv[3]) * (time.monotonic() - began))
print("WAITS", patience, flush=True)
signal.setitimer(signal.ITIMER_REAL, patience)
context = ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
signal.setitimer(signal.ITIMER_REAL, 0)
print("JOINED", context.address_info["gcs_address"], flush=True)
ray.shutdown()
"""


def resolve_address(address: str) -> str:
    """Returns the address of the cluster's head as host:port.

    Raises UserError where it cannot be joined: in KNOCK seconds where nothing listens, else within some 30 s on a machine
    that is not busy.
    """
    followed = os.environ.get("RAY_ADDRESS") or "auto" if address == "auto" else address
    said = f"address {address!r}" + (f" follows RAY_ADDRESS={followed}" if followed != address else "")
    if "://" in followed:
        raise UserError(f"{said}: give HOST:PORT of the head, as in --address 10.0.0.1:6379, or auto")
    if followed not in ("auto", "local"):
        _knock(followed, said)
    check_token()
    words = [sys.executable, "-c", _JOIN, address, str(PATIENCE), str(IMPORTS)]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    found = re.search(r"^JOINED (\S+)$", done.stdout, re.M)
    if found is None:
        waits = re.search(r"^WAITS (\S+)$", done.stdout, re.M)
        raise UserError(_refusal(address, done.stderr, float(waits[1]) if waits else PATIENCE))
    return found[1]


def check_token() -> None:
    """Raises UserError where RAY_AUTH_TOKEN_PATH names a file without a token, with which Ray neither starts nor joins."""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if not path or os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_MODE") == "disabled":
        return
    try:
        told = Path(path).read_text().strip()
    except (OSError, ValueError):
        told = ""
    if not told:
        raise UserError(f"RAY_AUTH_TOKEN_PATH={path}: no token is there; copy the head's ~/.ray/auth_token, or unset it")


def _knock(address: str, named: str) -> None:
    """Raises UserError where nothing listens at an address. named: how the user gave it."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"{named}: give HOST:PORT of the head, as in --address 10.0.0.1:6379, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK).close()
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise UserError(
            f"{named}: no Ray head answers there ({why}); start one with `ray start --head`, or leave "
            "--address out for a cluster of this run's own"
        ) from error


def _refusal(address: str, told: str, waited: float) -> str:
    """Returns why a cluster could not be joined, from what Ray said, if it said anything in the seconds waited."""
    start = f"address {address!r}: "
    if "no authentication token was found" in told:
        return start + "the cluster wants a token and there is none here: " + _token()
    if "Unauthenticated" in told or "InvalidAuthToken" in told:
        return start + "the cluster does not take the token from here: " + _token()
    if "Version mismatch" in told:
        versions = re.findall(r"(Ray|Python): (\S+)", told)
        there, here = versions[: len(versions) // 2], versions[len(versions) // 2 :]
        said = f"it has {' '.join(map(' '.join, there))}, here is {' '.join(map(' '.join, here))}"
        return f"{start}the cluster's versions differ from those here: {said}; install the same on both"
    if "Could not find any running Ray instance" in told:
        return f"{start}no Ray runs on this machine; start it with `ray start --head`, or leave --address out"
    said = next((line.strip() for line in reversed(told.splitlines()) if re.match(r"\w[\w.]*(Error|Exception): ", line)), "")
    return f"{start}the cluster did not take this run ({said or f'no answer in {waited:.0f} s'}); is its head alive?"


def _token() -> str:
    """Returns what to do about a token, and which one was used."""
    way = "copy that of the head's ~/.ray/auth_token"
    if os.environ.get("RAY_AUTH_MODE", "disabled") != "token":
        return f"{way} and set RAY_AUTH_MODE=token"
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        if os.environ.get(name):
            return f"it is that of {name}; {way} there"
    return f"{way} to ~/.ray/auth_token, or set RAY_AUTH_TOKEN"
