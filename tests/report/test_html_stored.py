"""The parts of a page that come from stored scores, in a browser; of a study that was run."""

import shutil

import numpy as np
import pandas as pd
import pytest
from headless import Opened, headless
from small_study import inline, study_file
from tiny import TRIAL, splits

import skelray
from skelray.report.html.classes import _worst
from skelray.report.html.features import class_names
from skelray.report.html.page import write_page
from skelray.results import tables as results
from skelray.runner.excerpts import keep_excerpt
from skelray.store import excerpts
from skelray.store.files import Files

STUDY = """
    from skelray import Clustering
    base = replace(base, evaluations=(KNN(), Clustering(classes=3)))
    study = Ablation(base=base, seeds=range(2), arms=[
        Arm("weak <b>", {"arrangement": (BA,)}),
        Arm("strong", {"arrangement": (BA, NA + Mask)}),
    ])
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory, synthetic_data):
    folder = tmp_path_factory.mktemp("ran")
    inline(study_file(folder, STUDY), folder, synthetic_data, epochs=1)
    return folder


@pytest.fixture(scope="module")
def path(ran):
    """Written after the store was moved: a page needs no data set, and no store where it was."""
    shutil.move(ran / "store", ran / "elsewhere")
    yield write_page("small", ran / "results", str(ran / "elsewhere"), None)
    shutil.move(ran / "elsewhere", ran / "store")


@pytest.fixture(scope="module")
def opened(path):
    with headless() as browser:
        found = Opened(browser, path)
        yield found
        assert found.complaints == []
        assert found.requests == [f"file://{path}"]


def drawn(opened, selector):
    """How many colours the first canvas there has."""
    script = "e => new Set(new Uint32Array(e.getContext('2d').getImageData(0, 0, e.width, e.height).data.buffer)).size"
    return opened.page.locator(selector).first.evaluate(script)


def test_accuracy_by_class_is_that_of_the_stored_scores(opened, ran, synthetic_data):
    frame = results.load("small", ran / "results")
    rows = frame[(frame["metric"] == "top1") & (frame["arm"] == "strong")]
    one = pd.concat(
        skelray.scores(row, store=ran / "elsewhere", data=synthetic_data).per_class() for _, row in rows.iterrows()
    )
    wanted = {name: round(100 * share, 1) for name, share in one.groupby("class")["top1"].mean().items()}
    lines = [text.split("\t") for text in opened.texts("#classes tbody tr")]
    assert {line[0]: float(line[3]) for line in lines} == pytest.approx(wanted, abs=0.06)
    differences = [float(line[4].replace("\u2212", "-")) for line in lines]
    assert differences == sorted(differences)
    assert drawn(opened, "#classes canvas") > 2
    assert "weak <b>" in opened.texts("#classes h3")[0]


def test_classes_whose_names_are_not_stored_have_numbers():
    """As many as any row of the benchmark needs."""
    read = [({"benchmark": "b"}, {"place_labels": np.array(labels)}, {}) for labels in ([0, 1], [3], [2])]
    assert class_names(None, read) == {"b": ["class 0", "class 1", "class 2", "class 3"]}


def test_features_of_two_rows_stand_side_by_side(opened, ran):
    shown = pd.read_csv(ran / "results" / "figures" / "small" / "features.csv")
    assert list(shown["row"].unique()) == ["weak <b>", "strong"]  # of the first seed
    assert shown["class"].nunique() == 3
    assert "NMI" in opened.page.locator("#features svg").first.text_content()
    assert len(opened.texts("#features h3")) == 2
    assert drawn(opened, "#features canvas") > 3
    legend = opened.texts("#features .legend >> nth=0 >> span")
    assert len(legend) == 3
    assert not any("class" in name for name in legend)  # by their names


def test_a_sequence_is_played_as_recorded_and_as_each_arm_sees_it(opened):
    assert opened.texts("#motion figcaption") == ["recorded", "key", "query 1", "key", "query 1", "query 2"]
    opened.page.click("#motion button")  # pause
    before = opened.page.locator("#motion canvas").first.evaluate("e => e.toDataURL()")
    assert before != opened.page.locator("#motion canvas").nth(2).evaluate("e => e.toDataURL()")
    opened.page.click("#motion button")
    opened.page.wait_for_function("b => document.querySelector('#motion canvas').toDataURL() !== b", arg=before)
    apart = [
        text.rpartition(": ")[2].split(" % and ")
        for text in opened.page.locator("#motion select").nth(2).inner_text().split("\n")
    ]
    gaps = [abs(int(one) - int(other.split(" ")[0])) for one, other in apart]
    assert gaps == sorted(gaps, reverse=True)


def test_of_two_rows_shown_first_both_are_of_one_test_set_if_any_are(opened):
    choice = "sets => pair(sets.map(set => ({ set, label: set })), () => 0)[0].lastChild.value"
    chosen = [opened.page.evaluate(choice, sets) for sets in (["a", "b", "a"], ["a", "a"], ["a", "b"], ["a"])]
    assert chosen == ["2", "1", "1", "0"]


def test_a_page_without_a_store_says_what_it_lacks(ran):
    text = write_page("small", ran / "results", str(ran / "nowhere"), None, ran / "bare.html").read_text()
    assert text.count("The store is not here") == 3


def test_views_hide_what_is_masked_and_keep_what_is_not_augmented(ran):
    store = Files(ran / "store" if (ran / "store").is_dir() else ran / "elsewhere")
    names = store.names("excerpts")
    assert len(names) == 3  # a set, and the views of two methods, which both evaluations share
    (of_set,) = [name for name in names if "-" not in name]
    kept = excerpts.read_excerpt(store, of_set.removesuffix(".npz"))
    seen = [excerpts.read_augmented(store, name.removesuffix(".npz")) for name in names if "-" in name]
    weak, strong = sorted(seen, key=lambda one: len(one.names))
    assert weak.sequences.shape[1:] == kept.sequences[:, : weak.sequences.shape[2]].shape
    present = (kept.sequences != excerpts.HIDDEN).any(axis=(1, 2, 4))  # (n, M)
    masked = (strong.sequences[-1] == excerpts.HIDDEN).all(axis=-1)  # (n, T, V, M)
    assert set(masked.sum(axis=2)[:, :, 0][present[:, 0]].ravel()) == {int(0.1 * masked.shape[2])}
    assert not (weak.sequences[:, present[:, 0], ..., 0, :] == excerpts.HIDDEN).any()


def test_a_damaged_excerpt_counts_as_none(tmp_path):
    (tmp_path / "excerpts").mkdir()
    (tmp_path / "excerpts" / "x.npz").write_bytes(b"no archive")
    assert excerpts.read_excerpt(Files(tmp_path), "x") is None
    assert (tmp_path / "excerpts" / "x.npz.damaged").is_file()


def test_of_many_classes_the_worst_confusions_stay():
    counts = np.arange(36).reshape(6, 6)
    kept = _worst(counts)
    assert (np.diag(kept) == np.diag(counts)).all()
    assert kept[0].tolist() == [0, 0, 2, 3, 4, 5]


def test_what_fails_of_an_excerpt_costs_nothing(tmp_path, caplog):
    class Nowhere(Files):
        def has(self, name):
            raise OSError("no such bucket")

    assert keep_excerpt(TRIAL, splits().test, Nowhere(tmp_path)) == {}
    assert "no such bucket" in caplog.text
