"""A run that is asked to end is ended, wherever it is, and no trial takes that for a failure of its own."""

import signal
import time

import pytest

from skelray.contained import call_contained
from skelray.runner import ending


def test_the_end_of_a_run_gets_out_of_code_that_a_study_brings(monkeypatch):
    monkeypatch.setattr(ending, "GRACE", 0.01)

    def long_epoch():
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)

    with ending.heeding_sigterm(), pytest.raises(ending.Terminated):
        call_contained(long_epoch)
