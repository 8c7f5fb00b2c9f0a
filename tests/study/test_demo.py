"""The README's first command: its numbers are small, and yet numbers of something learned."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skelray import load

ROOT = Path(__file__).resolve().parent.parent.parent
CHANCE = 1 / 20


@pytest.mark.slow
def test_every_figure_of_the_demonstration_is_well_above_chance(tmp_path):
    command = [
        sys.executable,
        "-c",
        "from skelray.cli.main import main; main()",
        "run",
        str(ROOT / "studies/arrangement.py"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [*command, "--demo", "--inline"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "These are numbers of generated data" in done.stdout
    frame = load("arrangement_demo", tmp_path / "results")
    frame = frame[frame["metric"] == "top1"]
    assert len(frame) == 5 * 2 * 2  # arms, protocols, evaluations
    assert set(frame["benchmark"]) == {"synthetic"}
    assert frame["published"].isna().all()
    assert (frame["value"] > 3 * CHANCE).all()
