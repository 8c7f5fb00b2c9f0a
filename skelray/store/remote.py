"""What is particular to object stores: how they are opened, what their errors mean, and when a request is made again."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from pyarrow import fs

from skelray.checks import UserError

T = TypeVar("T")
SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss")
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before a request is made again
PATIENCE = 20.0  # seconds for a store's first answer
PASSING = re.compile(
    r"NETWORK_CONNECTION|SLOW_DOWN|THROTTL|INTERNAL_FAILURE|SERVICE_UNAVAILABLE|REQUEST_TIMEOUT|timed? ?out"
    r"|HTTP status (429|5\d\d)|Unavailable|reset by peer",
    re.I,
)
REFUSED = re.compile(r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|HTTP status 40[13]|Credential|Authentication|token", re.I)
WAYS = {
    "s3": "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or AWS_PROFILE",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
    "abfs": "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or log in with `az login`",
}

_ASK = """
import sys
from pyarrow import fs
files, path = fs.FileSystem.from_uri(sys.argv[1])
if files.get_file_info(path.partition("/")[0]).type == fs.FileType.NotFound:
    raise OSError("NO_SUCH_BUCKET")
files.get_file_info(fs.FileSelector(path, allow_not_found=True))
"""


def is_uri(root: str) -> bool:
    """Returns whether a store is named by a URI. Raises UserError for what was meant as one and is none."""
    scheme, colon, rest = root.partition(":")
    if colon and scheme in SCHEMES and not rest.startswith("//"):
        raise UserError(f"store {root!r}: a URI has two slashes after its colon, as in {scheme}://bucket/prefix")
    return "://" in root


@cache
def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Returns a URI's file system and the path in it. Raises UserError for a URI of no folder."""
    try:
        files, path = fs.FileSystem.from_uri(_written_at_once(uri))
    except (ValueError, OSError) as error:  # ArrowInvalid
        raise UserError(f"store {uri!r}: {explain_errors(uri, str(error))}") from error
    if not path.strip("/"):
        raise UserError(f"store {uri!r}: a URI names a folder, too, as in s3://bucket/prefix")
    return files, path


def _written_at_once(uri: str) -> str:
    """Returns the URI so that an S3 file at hand is written by one PUT, unless the URI says otherwise."""
    if not uri.startswith("s3://") or "allow_delayed_open" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}allow_delayed_open=true"


@cache
def check_answers(uri: str) -> None:
    """Raises UserError, in some 30 s, where the store does not answer.

    It is asked from a process of its own: without credentials some libraries wait for minutes, and others abort.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK, uri], capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"store {uri!r}: no answer in {PATIENCE:.0f} s; is it reached from here? {_way(uri)}") from None
    if done.returncode:
        raise UserError(f"store {uri!r}: {explain_errors(uri, _cause(done.stderr))}")


def _cause(stderr: str) -> str:
    """Returns the line that says why a process ended: of Python's traceback, or of a C++ library that aborted."""
    lines = [line for line in stderr.splitlines() if re.match(r"[\w.]+: ", line)]
    aborted = re.search(r"what\(\):\s*(.*?)(?:\. |$)", stderr, re.M)
    return lines[-1] if lines else aborted[1] if aborted else stderr[-300:]


def explain_errors(uri: str, told: str) -> str:
    """Returns what an error of an object store means for who runs a study, in one sentence."""
    line = " ".join(told.split())[:300]
    if "NO_SUCH_BUCKET" in line or "no such bucket" in line.lower():
        return "there is no such bucket, or not in this region: make it, or name another one"
    if "valid account name" in line:
        return "it names no account: write it as abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER"
    return f"{line.rstrip('.')}; {_way(uri)}" if REFUSED.search(line) or PASSING.search(line) else line


def _way(uri: str) -> str:
    scheme = uri.partition("://")[0]
    return "for credentials " + next((way for known, way in WAYS.items() if scheme.startswith(known)), WAYS["s3"])


def retry(request: Callable[[], T]) -> T:
    """Returns what a request gives, after another try if it fails for a passing cause: a broken connection, a busy store."""
    for pause in PAUSES:
        try:
            return request()
        except FileNotFoundError:
            raise
        except OSError as error:
            if not PASSING.search(str(error)):
                raise
        time.sleep(pause)
    return request()
