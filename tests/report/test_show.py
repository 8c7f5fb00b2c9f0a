"""What a notebook shows of studies, tables and verdicts."""

from dataclasses import replace

import pytest
from headless import headless
from result_rows import frame, seeds

import skelray
from skelray import BA, NA, Ablation, Arm, Factorial, Fusion, Mask, Sweep, papers
from skelray.report.text import accuracy_table
from skelray.results import tables as results
from skelray.results.verdicts import verdicts_of_frame

BASE = papers.HICLR.small()
ROWS = [*seeds(0.7, 0.72, arm="<b>weak</b>"), *seeds(0.8, 0.85, arm="strong")]


def space(trial):
    return replace(BASE, method=replace(BASE.method, lambda_h=trial.suggest_float("lambda_h", 0.1, 1)))


def weights(trial):
    return {"joint": 1.0, "bone": trial.suggest_float("bone", 0, 1)}


STUDIES = {
    "<b>weak</b>": Ablation(BASE, [Arm("<b>weak</b>", {"arrangement": (BA, NA + Mask)}, {"xsub": 77.6})]),
    "without mask": Factorial(BASE, {"without mask": {"arrangement": (BA, NA)}}, seeds=(0, 1)),
    "lambda_h": Sweep(space, {"lambda_h": 0.5}, samples=7),
    "bone": Fusion(BASE, weights, {"joint": 0.6, "bone": 0.4}, across={"protocol": ["xsub"]}),
}


@pytest.mark.parametrize("told", STUDIES)
def test_studies_and_tables_show_themselves_as_text_in_html(told):
    shown = STUDIES[told]._repr_html_()
    assert told.replace("<", "&lt;").replace(">", "&gt;") in shown
    assert "<b>" not in shown
    assert shown.count("<tr>") == shown.count("</tr>") >= 2


def test_what_an_arm_changes_is_spelt_as_a_paper_does():
    assert "arrangement [BA, NA+Mask]" in STUDIES["<b>weak</b>"]._repr_html_()
    assert "xsub 77.6" in STUDIES["<b>weak</b>"]._repr_html_()
    assert accuracy_table(frame(ROWS))._repr_html_().count("&lt;b&gt;weak&lt;/b&gt;") == 1
    assert "helps" not in verdicts_of_frame(frame(ROWS))._repr_html_()  # two seeds decide nothing


def test_a_notebook_shows_the_page_in_a_frame(tmp_path):
    results.write_table("mine", [one | {"study": "mine"} for one in ROWS], [], tmp_path)
    shown = skelray.show("mine", tmp_path)
    assert "| strong" in repr(shown)
    with headless() as browser:
        page = browser.new_page()
        page.set_content(f"<p>cell</p>{shown._repr_html_()}")
        inner = page.frame_locator("iframe")
        assert inner.locator("#table td").first.inner_text() == "<b>weak</b>"
        inner.locator("#table th").nth(1).click()
        assert inner.locator("#table td").first.inner_text() == "strong"  # its script runs in there
