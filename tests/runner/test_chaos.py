"""A study killed at many moments ends with the table of one that nobody disturbed; benchmarks/chaos.py kills more often."""

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from chaos import STUDIES, chaos


@pytest.mark.slow
@pytest.mark.parametrize("kind", STUDIES)
def test_killed_at_many_moments_every_column_is_the_same(tmp_path, synthetic_data, kind):
    assert chaos(kind, 60, tmp_path, synthetic_data, random.Random(1)) >= 1
