"""What Ray adds to a study and to each of its trials, measured on this machine; keep it otherwise idle.

    python benchmarks/ray_overhead.py

A study of tiny trials runs inline and on Ray, with few and with many of them. On Ray two trials run at a time, so that
many more trials add their own time halved, and what is left of the difference is Ray's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = """
from dataclasses import replace
from skelray import Ablation, Arm, KNN, papers
study = Ablation(base=replace(papers.SKELETONCLR, evaluations=(KNN(),)), seeds=range({trials}), arms=[Arm("a")])
"""
SMALL = ("batch_size=256", "frames=4", "queue=256", "hidden_channels=1", "hidden_dim=4", "dim=8")


def wall(folder, trials, inline):
    """Seconds of a whole `skelray run` with a store of its own."""
    kind = "inline" if inline else "ray"
    study = folder / f"overhead{trials}{kind}.py"
    study.write_text(STUDY.format(trials=trials))
    command = [
        sys.executable,
        "-c",
        "from skelray.cli.main import main; main()",
        "run",
        str(study),
        "--benchmark",
        "synthetic",
    ]
    command += ["--epochs", "1", "--data", str(folder / "data"), "--store", str(folder / study.stem)]
    command += ["--results", str(folder / "results"), "--device", "cpu", *(["--inline"] if inline else [])]
    for change in SMALL:
        command += ["--set", change]
    started = time.perf_counter()
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    )
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=2)
    parser.add_argument("--many", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        make = [sys.executable, "-c", "from skelray.cli.main import main; main()", "prepare", "synthetic"]
        subprocess.run([*make, "--data", str(folder / "data")], check=True, capture_output=True)
        seconds = {(n, inline): wall(folder, n, inline) for inline in (True, False) for n in (options.few, options.many)}
    more = options.many - options.few
    own = (seconds[options.many, True] - seconds[options.few, True]) / more
    on_ray = (seconds[options.many, False] - seconds[options.few, False]) / more
    for (trials, inline), took in seconds.items():
        print(f"{trials:3d} trials {'inline' if inline else 'on Ray'} {took:25.2f} s")
    print(f"a trial inline                   {own:6.2f} s")
    print(f"a trial more on Ray, two at once {on_ray:6.2f} s, of which Ray's {on_ray - own / 2:5.2f} s")
    start = seconds[options.few, False] - seconds[options.few, True] + options.few * (own - on_ray)
    print(f"Ray's share of a whole study     {start:6.2f} s")


if __name__ == "__main__":
    main()
