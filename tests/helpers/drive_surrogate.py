"""A driver of a surrogate sweep as a process of its own: python drive_surrogate.py FOLDER DATA STORE GO.

It waits for the file GO once it is ready, and prints the number of each sample that it trains, or what keeps it from that.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import surrogate

from skelray import TPE
from skelray.runner.inline import run_inline
from skelray.runner.job import Listener
from skelray.runner.run import Run
from skelray.store.store import StoreError


class Says(Listener):
    def started(self, job):
        sys.stdout.write(f"{job.number}\n")


def main(folder, data, store, go):
    surrogate.install()
    made = surrogate.make_run(Path(folder), Path(data), "ASHA", TPE(startup=2))
    run = Run(made.name, made.study, made.scale, replace(made.settings, store=store))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not Path(go).exists():
        time.sleep(0.01)
    try:
        run_inline(run, Says())
    except StoreError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
