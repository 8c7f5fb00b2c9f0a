"""Nothing that others wrote moves a terminal's cursor or turns its line around."""

import contextlib
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_rows import frame, row, seeds

from skelray.cli.main import main
from skelray.report import text as report
from skelray.report.printable import make_printable

EVIL = "\x1b[31m\x1b[2J\r\x07\u202eevil\u2066\u2028\x9b1m"


@given(st.text())
def test_what_is_printed_has_no_control_characters(text):
    shown = make_printable(text)
    hidden = {sign for sign in shown if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")}
    assert hidden <= set("\u200c\u200d")
    assert "\n" not in shown
    assert make_printable(shown) == shown


@pytest.mark.parametrize("text", ["HiCLR, k = 3", "Größe μ ± 1 %", "می\u200cخواهم", "動作", "👩\u200d💻", ""])
def test_what_prints_stays(text):
    assert make_printable(text) == text


def test_what_does_not_print_is_shown():
    assert make_printable("a\x1b[31mb\n\u202ec") == r"a\x1b[31mb\n\u202ec"
    assert make_printable("a\nb\tc\x00", keep="\n") == "a\nb\\tc\\x00"


@pytest.mark.parametrize(
    "words", [["prepare", EVIL, "b", "c"], ["studies", "FOLDER"], ["report", f"--{EVIL}"]], ids=lambda words: words[0]
)
def test_a_mistake_in_a_command_is_shown_as_it_prints(words, tmp_path, monkeypatch, capsys):
    (tmp_path / "\x1b[31mevil").mkdir()
    words = [str(tmp_path / "\x1b[31mevil") if word == "FOLDER" else word for word in words]
    monkeypatch.setattr("sys.argv", ["skelray", *words])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert r"\x1b[31m" in said
    assert not [sign for sign in said if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl") and sign != "\n"]


def test_what_was_prepared_is_told_as_it_prints(tmp_path, monkeypatch, capsys):
    from skelray.data import Benchmark, Recording, Split, prepare
    from skelray.skeleton import KINECT_V1

    bodies = np.random.default_rng(0).normal(size=(12, 1, 20, 3)).astype(np.float32)
    recordings = [Recording(f"{EVIL}{n}", bodies[: 8 + n], n % 2, subject=n % 2) for n in range(4)]
    evil = Benchmark("evil", KINECT_V1, ("a", EVIL), {"xsub": Split("subject", (1,))}, 1, lambda _: recordings)
    prepare(evil, None, tmp_path)
    for verb in ("describe", "check"):
        monkeypatch.setattr("sys.argv", ["skelray", "data", verb, "evil", "--data", str(tmp_path)])
        with contextlib.suppress(SystemExit):
            main()
    said = capsys.readouterr()
    assert "evil" in said.out
    assert not [sign for sign in said.out + said.err if unicodedata.category(sign) in ("Cc", "Cf", "Zl") and sign != "\n"]


@pytest.mark.parametrize("form", ["markdown", "csv", "latex"])
def test_labels_and_errors_reach_no_terminal_raw(form):
    evil = dict.fromkeys(("study", "arm", "benchmark", "protocol", "stream", "backbone", "evaluation"), EVIL)
    rows = [*seeds(0.5, 0.6, **evil), row(trial=EVIL, status="failed", error=f"{EVIL}: {EVIL}\n{EVIL}", **evil)]
    rows[-1] |= {"seed": 7}
    shown = report.report_text(frame(rows), form) + "\n".join(report.failures_text(frame(rows)))
    assert not [sign for sign in shown if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl") and sign != "\n"]
    assert "evil" in shown
