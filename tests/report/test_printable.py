"""Nothing that others wrote moves a terminal's cursor or turns its line around."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_rows import frame, row, seeds

from skelray.report import text as report
from skelray.report.printable import printable

EVIL = "\x1b[31m\x1b[2J\r\x07\u202eevil\u2066\u2028\x9b1m"


@given(st.text())
def test_what_is_printed_has_no_control_characters(text):
    shown = printable(text)
    hidden = {sign for sign in shown if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")}
    assert hidden <= set("\u200c\u200d")
    assert "\n" not in shown
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["HiCLR, k = 3", "Größe μ ± 1 %", "می\u200cخواهم", "動作", "👩\u200d💻", ""])
def test_what_prints_stays(text):
    assert printable(text) == text


def test_what_does_not_print_is_shown():
    assert printable("a\x1b[31mb\n\u202ec") == r"a\x1b[31mb\n\u202ec"
    assert printable("a\nb\tc\x00", keep="\n") == "a\nb\\tc\\x00"


@pytest.mark.parametrize("form", ["markdown", "csv", "latex"])
def test_labels_and_errors_reach_no_terminal_raw(form):
    evil = dict.fromkeys(("study", "arm", "benchmark", "protocol", "stream", "backbone", "evaluation"), EVIL)
    rows = [*seeds(0.5, 0.6, **evil), row(trial=EVIL, status="failed", error=f"{EVIL}: {EVIL}\n{EVIL}", **evil)]
    rows[-1] |= {"seed": 7}
    shown = report.text(frame(rows), form) + "\n".join(report.failures(frame(rows)))
    assert not [sign for sign in shown if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl") and sign != "\n"]
    assert "evil" in shown
