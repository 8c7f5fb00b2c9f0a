"""Tables as people's programs write them: separators, encodings, marks for nothing, blanks, and texts for numbers."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_table import TOML, sequences, table, written

from skelray.data import DataError, Skipped, load_splits, open_dataset, open_table, prepare
from skelray.data.inspection.check import check_dataset

NBSP, WIDE, NO_WIDTH = "\u00a0", "\u3000", "\u200b"


def bodies(path: Path) -> list[np.ndarray]:
    return [one.bodies for one in sequences(path)]


def text(frame: pd.DataFrame, folder: Path, change, encoding: str = "utf-8") -> Path:
    """The table, whose text is changed, beside its description."""
    path = written(folder, frame)
    source = folder / "mine.csv"
    source.write_bytes(change(source.read_text("utf-8")).encode(encoding))
    return path


def with_(separator: str, comma: bool = False):
    return lambda lines: (lines.replace(",", separator), lines.replace(",", separator).replace(".", ","))[comma]


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (with_(";"), "utf-8"),
        (with_(";", comma=True), "utf-8"),
        (with_("\t", comma=True), "utf-8-sig"),
        (with_("|"), "utf-8"),
        (lambda lines: lines, "utf-8-sig"),
        (lambda lines: lines, "utf-16"),
        (with_(";", comma=True), "utf-16"),
        (lambda lines: lines, "utf-16-le"),
        (lambda lines: lines, "utf-16-be"),
        (lambda lines: "sep=;\n" + lines.replace(",", ";"), "utf-8-sig"),
        (lambda lines: lines.replace("\n", "\r\n"), "utf-8"),
        (lambda lines: lines.replace(",", " , "), "utf-8"),
        (lambda lines: lines.split("\n", 1)[0].title() + "\n" + lines.split("\n", 1)[1], "utf-8"),
        (lambda lines: (lines.split("\n", 1)[0].upper() + "\n" + lines.split("\n", 1)[1]).replace(",", ";"), "utf-16"),
        (lambda lines: "\n".join('"' + line.replace(",", '";"') + '"' for line in lines.split("\n")[:-1]), "utf-8"),
    ],
)
def test_a_table_is_read_however_it_is_written(tmp_path, change, encoding):
    expected = bodies(written(tmp_path / "plain", table()))
    found = bodies(text(table(), tmp_path / "other", change, encoding))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda lines: lines.replace(",", ";").replace(".", ",", 50), "written both with a point and with a comma"),
        (
            lambda lines: lines.replace("0.1257", '"0,1257"', 1),
            "the column x must hold numbers, and holds '0,1257': where commas",
        ),
        (lambda lines: "PK\x03\x04" + lines, "is a workbook or a zip: save the table as CSV or Parquet"),
        (lambda lines: lines.replace(",", " "), "lacks the columns"),
    ],
)
def test_what_could_be_read_in_two_ways_is_one_sentence(tmp_path, change, sentence):
    with pytest.raises(DataError) as error:
        sequences(text(table(), tmp_path, change))
    assert sentence in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("nothing", ["NA", "N/A", "n/a", "", "null", "NULL", "None", "nan", "-", "?", "#N/A", " NA ", "."])
@pytest.mark.parametrize("column", ["x", "z"])
def test_a_coordinate_that_is_not_there_leaves_its_sequence_out(tmp_path, kind, nothing, column):
    frame = table().astype({column: str})
    frame.loc[5, column] = nothing
    benchmark, source = open_table(written(tmp_path, frame, kind=kind))
    report = prepare(benchmark, source, tmp_path / "data")
    assert report.skipped == {"coordinates that are not finite": ("s0",)}
    assert report.sequences == 7


@pytest.mark.parametrize("column", ["frame", "person", "joint"])
@pytest.mark.parametrize("nothing", ["NA", "", "nan"])
def test_a_cell_without_which_a_row_has_no_place_leaves_its_sequence_out(tmp_path, column, nothing):
    frame = table().astype({column: str})
    frame.loc[5, column] = nothing
    assert [one.reason for one in sequences(written(tmp_path, frame)) if isinstance(one, Skipped)] == [
        f"an empty cell in {column}"
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_what_is_infinite_is_no_whole_number_and_refuses_no_table(tmp_path, kind, infinite):
    frame = table().astype({"frame": float, "subject": float})
    frame.loc[5, "frame"] = infinite
    frame.loc[frame["sequence"] == "s5", "subject"] = infinite
    found = sequences(written(tmp_path, frame, kind=kind))
    assert [one.reason for one in found if isinstance(one, Skipped)] == ["an empty cell in frame"]
    assert found[5].subject == -1


@pytest.mark.parametrize("odd", ["wave ", " wave", f"wave{NBSP}", f"{WIDE}wave", f"wave{NO_WIDTH}", "\ufeffwave", "wave\t"])
def test_labels_that_differ_in_blanks_are_one_class(tmp_path, odd):
    frame = table()
    frame.loc[frame["sequence"] == "s2", "label"] = odd
    for kind in ("csv", "parquet"):
        benchmark, source = open_table(written(tmp_path / kind, frame, kind=kind))
        assert benchmark.classes == ("bow", "wave")
        report = str(prepare(benchmark, source, tmp_path / f"data_{kind}"))
        assert "note: labels that differ in blanks" in report
        assert repr(odd) in report
        assert open_dataset(tmp_path / f"data_{kind}", "mine").labels.tolist() == [1, 0] * 4


def test_labels_that_differ_in_how_a_letter_is_stored_are_one_class(tmp_path):
    frame = table().replace({"label": {"bow": "se\u0301rie"}})
    frame.loc[frame["sequence"] == "s1", "label"] = "s\u00e9rie"
    toml = TOML.replace("persons = 2", 'persons = 2\nclasses = ["wave ", "se\u0301rie"]')
    assert open_table(written(tmp_path, frame))[0].classes == ("s\u00e9rie", "wave")
    assert [one.label for one in sequences(written(tmp_path, frame, toml))] == [0, 1] * 4


def test_capital_letters_make_a_class_and_a_note(tmp_path):
    frame = table()
    frame.loc[frame["sequence"] == "s2", "label"] = "Wave"
    benchmark, _ = open_table(written(tmp_path, frame))
    assert benchmark.classes == ("Wave", "bow", "wave")
    assert benchmark.notes == ("labels that differ in capital letters are different classes: 'Wave', 'wave'",)


def test_a_class_may_be_named_none_and_it_is_said(tmp_path):
    benchmark, _ = open_table(written(tmp_path, table().replace({"label": {"bow": "none"}})))
    assert benchmark.classes == ("none", "wave")
    assert benchmark.notes == ("labels that may say that there is none are classes: 'none'",)


@pytest.mark.parametrize("sign", ["-", "?", ".", "--", "\u2014", "(null)"])
def test_a_sign_is_no_label_and_no_joint(tmp_path, sign):
    for column in ("label", "joint"):
        frame = table()
        frame.loc[frame["sequence"] == "s2", column] = sign
        path = written(tmp_path / column, frame)
        assert open_table(path)[0].classes == ("bow", "wave")
        assert [one.reason for one in sequences(path) if isinstance(one, Skipped)] == [f"an empty cell in {column}"]


def test_classes_without_a_row_are_named(tmp_path):
    counted = written(tmp_path, table().replace({"label": {"wave": 1, "bow": 2}}))
    assert open_table(counted)[0].notes == ("classes that no row of the table has: 0; numbers count from 0",)
    toml = TOML.replace("persons = 2", 'persons = 2\nclasses = ["bow", "wave", "point"]')
    assert open_table(written(tmp_path, table(), toml))[0].notes == ("classes that no row of the table has: point",)
    assert open_table(written(tmp_path, table()))[0].notes == ()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("names", [{}, {"wave": 0, "bow": 1}])
def test_a_negative_label_is_none(tmp_path, kind, names):
    frame = table().replace({"label": names}) if names else table()
    frame.loc[frame["sequence"] == "s2", "label"] = -1 if names else "-1"
    frame["label"] = frame["label"].astype(int if names else str)
    path = written(tmp_path, frame, kind=kind)
    assert open_table(path)[0].classes == (("0", "1") if names else ("bow", "wave"))
    assert [one.reason for one in sequences(path) if isinstance(one, Skipped)] == ["no label: -1"]
    toml = TOML.replace("persons = 2", f"persons = 2\nclasses = {['-1', *map(str, names.values() or ['bow', 'wave'])]}")
    assert not any(isinstance(one, Skipped) for one in sequences(written(tmp_path, frame, toml, kind=kind)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_description_is_read_in_the_encodings_of_a_table(tmp_path, encoding):
    path = written(tmp_path, table())
    path.write_bytes(path.read_text("utf-8").encode(encoding))
    assert open_table(path)[0].classes == ("bow", "wave")


def test_a_column_is_not_taken_for_one_in_capital_letters_that_stands_beside_it(tmp_path):
    frame = table()
    expected = bodies(written(tmp_path / "plain", frame))
    found = bodies(written(tmp_path / "other", frame.assign(X="no number", Label="other")))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    frame = frame.assign(X=frame["x"]).rename(columns={"x": " X"})
    with pytest.raises(DataError, match="two columns named x"):
        open_table(written(tmp_path / "two", frame))


def test_what_is_no_table_is_a_short_sentence(tmp_path):
    path = written(tmp_path, table())
    (tmp_path / "mine.csv").write_bytes(b"a\0b," + bytes(range(1, 256)) * 200)
    with pytest.raises(DataError) as error:
        open_table(path)
    assert len(str(error.value)) < 2000
    (tmp_path / "mine.csv").write_text(table().replace({"label": {"bow": "s\u00e9rie"}}).to_csv(index=False), "latin-1")
    with pytest.raises(DataError, match="it is neither UTF-8 nor UTF-16: save it as one of them"):
        open_table(path)
    for absent in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(DataError, match=r"cannot be read \((No such file|Is a dir).*\): give the TOML file"):
            open_table(absent)


UNKNOWN = ["", "-1", "NA", "nan", "NaN", "None", "null", "?", "unknown", "-", "x12", " ", "-7"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("cell", UNKNOWN)
def test_an_unknown_subject_is_in_no_split(tmp_path, kind, cell):
    frame = table().astype({"subject": str})
    frame.loc[frame["sequence"].isin(["s5", "s7"]), "subject"] = cell
    benchmark, source = open_table(written(tmp_path, frame, kind=kind))
    report = prepare(benchmark, source, tmp_path / "data")
    assert report.undivided == ("xsub: 2 sequences of unknown subject are in neither part",)
    assert ("subjects that are no whole numbers count as unknown: 'x12'" in str(report)) == (cell == "x12")
    splits = load_splits(tmp_path / "data", "mine", "xsub")
    assert splits.train.samples["name"].tolist() == ["s0", "s1", "s2", "s3"]
    assert splits.test.samples["name"].tolist() == ["s4", "s6"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_subjects_may_be_texts(tmp_path, kind):
    frame = table().replace({"subject": {1: "dora", 2: "anna", 3: "carl ", 4: ""}})
    benchmark, source = open_table(written(tmp_path, frame, TOML.replace("[1, 2]", '["anna", "dora"]'), kind))
    report = prepare(benchmark, source, tmp_path / "data")
    assert "note: subjects are texts, which are numbered: anna is 1, carl is 2, dora is 3" in str(report)
    splits = load_splits(tmp_path / "data", "mine", "xsub")
    assert splits.train.samples["subject"].tolist() == [3, 3, 1, 1]
    assert splits.test.samples["subject"].tolist() == [2, 2]
    assert "2 sequences are in neither part" in str(check_dataset(tmp_path / "data", "mine"))


@pytest.mark.parametrize(
    ("subjects", "train", "sentence"),
    [
        ({1: "anna", 2: "ben"}, '["eve"]', "protocols.xsub.train names 'eve'; the column subject holds 3, 4, anna, ben"),
        (
            {1: "anna", 2: "ben", 3: "carl", 4: "dora"},
            "[1, 2]",
            "must hold whole numbers, and holds 'anna': protocols.xsub.train may",
        ),
        ({}, "[1, -1]", "protocols.xsub.train must be a list of whole numbers from 0, or of texts"),
        ({}, '["eve"]', "protocols.xsub.train must be a list of whole numbers, as the column subject holds them"),
    ],
)
def test_who_trains_is_listed_as_the_table_has_it(tmp_path, subjects, train, sentence):
    frame = table().replace({"subject": subjects}) if subjects else table()
    with pytest.raises(DataError) as error:
        open_table(written(tmp_path, frame, TOML.replace("[1, 2]", train)))
    assert sentence in str(error.value)


CASES = {  # of ../shared/cases: what its README says is right
    "late_first_person": (12, {}),
    "changed_id": (12, {}),
    "unknown_subject": (12, {}),
    "semicolons": (12, {}),
    "with_bom": (12, {}),
    "stray_blanks": (12, {}),
    "not_available": (11, {"coordinates that are not finite": ("wave_1",)}),
    "stuck_joint": (12, {}),
    "hands": (24, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_shared_cases(shared, tmp_path, case):
    shutil.copytree(shared(f"cases/{case}"), tmp_path / case)
    benchmark, source = open_table(tmp_path / case / f"{case}.toml")
    report = prepare(benchmark, source, tmp_path)
    assert (report.sequences, report.skipped, report.cut, report.left_out) == (*CASES[case], {}, {})
    dataset = open_dataset(tmp_path, case)
    people = dataset.sequences.any(axis=(1, 3))  # (N, T, M)
    if case == "late_first_person":
        assert (people[:, :, 0] == (np.arange(50) >= 30)).all()
        assert people[:, :, 1].all()
    else:
        assert people.all()
    if case in ("semicolons", "with_bom", "stray_blanks"):
        assert benchmark.classes == ("bow", "point", "wave")
    if case == "stray_blanks":
        assert len(benchmark.notes) == 3
    if case == "unknown_subject":
        assert "nobody tests" in str(report)
    assert ("hand_left: at 0,0,0" in str(check_dataset(tmp_path, case))) == (case == "stuck_joint")
    if case == "hands":
        assert not dataset.sequences[:, :, :, dataset.skeleton.centre].any()
