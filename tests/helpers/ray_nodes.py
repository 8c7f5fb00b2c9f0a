"""A Ray cluster of several nodes on this machine, with authentication as by default, whose nodes come and go."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class RayNodes:
    """A head of no CPUs; ``add`` starts a node, ``lose`` kills one with all of its processes."""

    def __init__(self, cpus=0):
        self.folder = Path(tempfile.mkdtemp(prefix="rn", dir="/tmp"))  # Ray's sockets take no long path
        self.address = f"127.0.0.1:{free_port()}"
        self.token = secrets.token_hex(32)
        self.env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "HOME": str(self.folder)}
        self.env |= {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "RAY_health_check_period_ms": "1000"}
        self.nodes = []
        port = self.address.rpartition(":")[2]
        self._start(["--head", f"--port={port}", f"--num-cpus={cpus}", "--include-dashboard=false"])

    def _start(self, options, inside=(), env=None):
        temp = tempfile.mkdtemp(prefix="t", dir=self.folder)
        command = [*inside, *RAY, "start", "--block", f"--temp-dir={temp}", "--disable-usage-stats", *options]
        out = (Path(temp) / "out.txt").open("w")
        node = subprocess.Popen(command, env={**self.env, **(env or {})}, stdout=out, stderr=out, start_new_session=True)
        out.close()
        self.nodes.append(node)
        deadline = time.monotonic() + 60
        while "--block" not in (Path(temp) / "out.txt").read_text() and time.monotonic() < deadline:
            assert node.poll() is None, (Path(temp) / "out.txt").read_text()
            time.sleep(0.2)
        return node

    def add(self, cpus=1, hidden=None, env=None, instead=None):
        """hidden: a folder that this node sees empty, or as what ``instead`` has, as if it were another machine's."""
        mount = f'mount --bind "{instead}" "{hidden}"' if instead else f'mount -t tmpfs none "{hidden}"'
        inside = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"] if hidden else []
        return self._start([f"--address={self.address}", f"--num-cpus={cpus}"], inside, env)

    def lose(self, node):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def close(self):
        for node in reversed(self.nodes):
            self.lose(node)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def ray_nodes(**settings):
    made = RayNodes(**settings)
    try:
        yield made
    finally:
        made.close()
