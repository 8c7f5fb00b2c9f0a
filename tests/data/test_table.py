"""People's own data: tables in CSV and Parquet, what is said about odd ones, and the page's example, run as it stands."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skelray.data import DataError, Preprocessing, Recording, Skipped, load_splits, open_dataset, open_table, prepare
from skelray.data.own import rows as rows_module

PAGE = Path(__file__).parent.parent.parent / "docs" / "your_data.md"
JOINTS = ("hip", "chest", "shoulder_left", "shoulder_right")
TOML = """
name = "mine"
table = "mine.csv"
persons = 2
[skeleton]
joints = ["hip", "chest", "shoulder_left", "shoulder_right"]
centre = "chest"
bones = [["hip", "chest"], ["shoulder_left", "chest"], ["shoulder_right", "chest"]]
mirror = [["shoulder_left", "shoulder_right"]]
[protocols.xsub]
by = "subject"
train = [1, 2]
"""


def table(sequences: int = 8, frames: int = 6, persons: int = 2) -> pd.DataFrame:
    """Every joint of two persons; frame numbers step by three; subjects 1 to 4, labels wave and bow."""
    rng = np.random.default_rng(0)
    lines = [
        (f"s{n}", 3 * t, person, joint, *rng.normal(size=3).round(4), ("wave", "bow")[n % 2], n // 2 + 1, n % 2 + 1)
        for n in range(sequences)
        for t in range(frames)
        for person in range(persons)
        for joint in JOINTS
    ]
    return pd.DataFrame(lines, columns=["sequence", "frame", "person", "joint", "x", "y", "z", "label", "subject", "camera"])


def written(folder: Path, frame: pd.DataFrame, toml: str = TOML, kind: str = "csv") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    if kind == "csv":
        frame.to_csv(folder / "mine.csv", index=False)
    else:
        frame.to_parquet(folder / "mine.parquet", index=False, row_group_size=37)
    path = folder / "mine.toml"
    path.write_text(toml.replace("mine.csv", f"mine.{kind}"))
    return path


def sequences(path: Path):
    benchmark, source = open_table(path)
    return list(benchmark.recordings(source))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_table_is_read_exactly(tmp_path, monkeypatch, kind, shuffled):
    monkeypatch.setattr(rows_module, "BATCH", 50)  # sequences lie across batches
    frame = table()
    if shuffled:  # within each sequence
        frame = frame.sample(frac=1, random_state=0).sort_values("sequence", kind="stable")
    found = sequences(written(tmp_path, frame, kind=kind))
    assert [one.name for one in found] == [f"s{n}" for n in range(8)]
    original = table()
    for number, one in enumerate(found):
        rows = original[original["sequence"] == f"s{number}"]
        np.testing.assert_array_equal(one.bodies, rows[["x", "y", "z"]].to_numpy(np.float32).reshape(6, 2, 4, 3))
        assert (one.label, one.subject, one.camera, one.setup) == ((number + 1) % 2, number // 2 + 1, number % 2 + 1, -1)


def test_a_table_is_prepared_and_divided(tmp_path):
    benchmark, source = open_table(written(tmp_path, table()))
    assert benchmark.classes == ("bow", "wave")
    report = prepare(benchmark, source, tmp_path / "data", Preprocessing(frames=10))
    assert report.sequences == 8
    splits = load_splits(tmp_path / "data", "mine", "xsub")
    assert (len(splits.train), len(splits.held_out), len(splits.test)) == (4, 2, 4)
    assert open_dataset(tmp_path / "data", "mine").skeleton.joints == JOINTS
    assert prepare(benchmark, source, tmp_path / "data", Preprocessing(frames=10)).already
    table(9).to_csv(tmp_path / "mine.csv", index=False)
    assert prepare(benchmark, source, tmp_path / "data", Preprocessing(frames=10)).sequences == 9


def test_what_may_be_left_out_or_be_of_another_type(tmp_path):
    frame = table(persons=1).drop(columns=["person", "z", "camera"]).assign(extra="nothing", label=[1] * 24 + [0] * 168)
    frame["joint"] = frame["joint"].map(JOINTS.index)
    frame["sequence"] = frame["sequence"].str[1:].astype(int)
    for kind in ("csv", "parquet"):
        path = written(
            tmp_path / kind, frame.astype({"label": float, "frame": float}) if kind == "parquet" else frame, kind=kind
        )
        benchmark, source = open_table(path)
        assert benchmark.classes == ("0", "1")
        found = list(benchmark.recordings(source))
        assert [one.label for one in found] == [1] + [0] * 7
        assert not found[0].bodies[..., 2].any()
        with pytest.raises(DataError, match="lies in the plane"):
            prepare(benchmark, source, tmp_path / f"data_{kind}", Preprocessing())
        assert prepare(benchmark, source, tmp_path / f"data_{kind}", Preprocessing("plain", 10)).sequences == 8


def one_sequence(change):
    frame = table()
    rows = frame.index[frame["sequence"] == "s3"]
    return change(frame, rows)


SKIPPED = {
    "a joint is missing in a frame": lambda f, r: f.drop(r[5]),
    "two rows for the same joint of a frame": lambda f, r: pd.concat([f.loc[: r[-1]], f.loc[[r[0]]], f.loc[r[-1] + 1 :]]),
    "its rows differ in label": lambda f, r: f.assign(label=f["label"].where(f.index != r[2], "wave")),
    "more than 32 persons": lambda f, r: f.assign(person=f["person"].where(~f.index.isin(r), range(len(f)))),
}


@pytest.mark.parametrize("reason", SKIPPED)
def test_an_odd_sequence_is_left_out_with_its_reason(tmp_path, reason):
    found = sequences(written(tmp_path, one_sequence(SKIPPED[reason])))
    assert [type(one) for one in found] == [Recording] * 3 + [Skipped] + [Recording] * 4
    assert found[3].reason == reason


def test_a_nan_leaves_its_sequence_out(tmp_path):
    frame = table()
    frame.loc[5, "y"] = np.nan
    for kind in ("csv", "parquet"):
        benchmark, source = open_table(written(tmp_path / kind, frame, kind=kind))
        report = prepare(benchmark, source, tmp_path / f"data_{kind}")
        assert report.skipped == {"coordinates that are not finite": ("s0",)}


REFUSED = {
    "lacks the columns x, label; it has sequence": lambda f: f.drop(columns=["x", "label"]),
    "has the joint 'elbow'; the joints are hip, chest": lambda f: f.replace({"joint": {"hip": "elbow"}}),
    "the rows of sequence 's0' do not stand together": lambda f: pd.concat([f.iloc[1:], f.iloc[:1]]),
    "the column subject must hold whole numbers": lambda f: f.assign(subject="anna"),
    "the column x must hold numbers": lambda f: f.assign(x="left"),
    "the column sequence has empty cells": lambda f: f.assign(sequence=f["sequence"].where(f.index > 3, "")),
    "has no rows": lambda f: f.iloc[:0],
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_an_odd_table_is_one_sentence(tmp_path, sentence):
    for kind in ("csv", "parquet"):
        with pytest.raises(DataError) as error:
            sequences(written(tmp_path / kind, REFUSED[sentence](table()), kind=kind))
        assert sentence in str(error.value)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("labels", "classes", "found"),
    [
        (["0", "1", "2"], '["1", "2", "3"]', [0, 1, 2]),  # numbers from 0: not all are names
        (["1", "2", "3"], '["1", "2", "3"]', [0, 1, 2]),  # names
        (["0", "1", "2", "3"], '["1", "2", "3"]', "has the label '3', which is none of the 3 classes"),
        (["1.0", "2.0"], "[]", [1, 2]),  # a column of floats
        (["1.0", "0"], '["wave", "bow"]', [1, 0]),
        (["1.0", "2.0"], '["1.0", "2.0"]', [0, 1]),
        (["bow", "1"], '["wave", "bow"]', [1, 1]),
    ],
)
def test_labels_of_one_table_are_names_or_numbers(tmp_path, labels, classes, found):
    frame = table(len(labels))
    frame["label"] = [labels[int(name[1:])] for name in frame["sequence"]]
    path = written(tmp_path, frame, TOML.replace("persons = 2", f"classes = {classes}" if classes != "[]" else ""))
    if isinstance(found, str):
        with pytest.raises(DataError, match=found):
            sequences(path)
    else:
        assert [one.label for one in sequences(path)] == found
        assert sorted(set(found)) == sorted({one.label for one in sequences(path)})


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_empty_cell_does_not_say_the_subject(tmp_path, kind):
    frame = table()
    frame.loc[frame["sequence"] == "s3", "subject"] = np.nan  # all others become floats
    assert [one.subject for one in sequences(written(tmp_path, frame, kind=kind))] == [1, 1, 2, -1, 3, 3, 4, 4]
    frame["subject"] = frame["subject"].fillna(2.5)
    with pytest.raises(DataError, match="the column subject must hold whole numbers"):
        sequences(written(tmp_path, frame, kind=kind))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_empty_cell_is_no_class(tmp_path, kind):
    frame = table()
    frame.loc[frame["sequence"] == "s3", "label"] = ""
    path = written(tmp_path, frame, kind=kind)
    assert open_table(path)[0].classes == ("bow", "wave")
    assert [one.reason for one in sequences(path) if isinstance(one, Skipped)] == ["an empty cell in label"]


def test_a_protocol_by_a_column_that_the_table_lacks_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="by is 'subject', a column that the table lacks; it has sequence, joint, label"):
        open_table(written(tmp_path, table().drop(columns="subject")))


@pytest.mark.parametrize("path", ["centred", "rigid"])
def test_a_skeleton_that_cannot_be_turned_is_one_sentence_before_anything_is_written(tmp_path, path):
    toml = TOML.replace("shoulder_left", "wing")
    frame = table().replace({"joint": {"shoulder_left": "wing"}})
    benchmark, source = open_table(written(tmp_path, frame, toml))
    with pytest.raises(DataError, match=f"mine has no joint .*shoulder_left, by which '{path}' turns a body: --path plain"):
        prepare(benchmark, source, tmp_path / "data", Preprocessing(path, 10))
    assert not (tmp_path / "data").exists()


def test_a_label_that_is_no_class(tmp_path):
    toml = TOML.replace("persons = 2", 'classes = ["wave", "push"]')
    with pytest.raises(DataError, match="sequence 's1' has the label 'bow', which is none of the 2 classes"):
        sequences(written(tmp_path, table(), toml))


def test_no_sequence_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "MOST_ROWS", 40)
    with pytest.raises(DataError, match="sequence 's0' has more than 40 rows"):
        sequences(written(tmp_path, table()))


def test_no_table_is_one_sentence(tmp_path):
    path = written(tmp_path, table())
    (tmp_path / "mine.csv").write_bytes(b"PAR1 is not all of it")
    with pytest.raises(DataError, match="is no table that can be read"):
        open_table(path)
    (tmp_path / "mine.csv").unlink()
    with pytest.raises(DataError, match="is no table that can be read"):
        open_table(path)


DESCRIPTIONS = {
    "name is missing": ('name = "mine"', ""),
    "no such field: tabel": ("persons = 2", 'tabel = "x"'),
    "persons is 99; it is 1 to 16": ("persons = 2", "persons = 99"),
    "persons is 'two'; it must be a whole number": ("persons = 2", 'persons = "two"'),
    "name is '../x'; it begins with a letter": ('"mine"', '"../x"'),
    "which is a benchmark's": ('"mine"', '"ntu60"'),
    "classes must be a list of different texts": ("persons = 2", 'classes = ["a", "a"]'),
    "skeleton.centre names 'neck'; the joints are hip": ('"chest"\nbones', '"neck"\nbones'),
    "skeleton.bones must be a list of pairs": ("bones = [", 'bones = ["hip", '),
    "skeleton: mine: every joint but the centre needs exactly one parent": ('["hip", "chest"], ', ""),
    "skeleton.mirror names 'shoulder_lft'": ('mirror = [["shoulder_left"', 'mirror = [["shoulder_lft"'),
    "protocols.xsub.by is 'performer'; it is one of subject, camera": ('"subject"', '"performer"'),
    "protocols.xsub.train must be a list of whole numbers": ("[1, 2]", '["anna"]'),
    "protocols.xsub.classes names 'push'": ("[1, 2]", '[1, 2]\nclasses = ["push"]'),
    "the parts must hold every joint exactly once": ("[protocols", '[skeleton.parts]\na = ["hip"]\n[protocols'),
    "is no TOML file": ("[skeleton]", "[skeleton"),
}


@pytest.mark.parametrize("sentence", DESCRIPTIONS)
def test_an_odd_description_is_one_sentence(tmp_path, sentence):
    old, new = DESCRIPTIONS[sentence]
    assert old in TOML
    with pytest.raises(DataError) as error:
        open_table(written(tmp_path, table(), TOML.replace(old, new, 1)))
    assert sentence in str(error.value)
    assert str(tmp_path / "mine.toml") in str(error.value)
    assert len(str(error.value).splitlines()) == 1


fuzz = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
damage = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(list(b'0123456789,.-e"\n\r\x00\xff[]=# a'))), max_size=8)


@fuzz
@given(changes=damage, file=st.sampled_from(["mine.csv", "mine.parquet", "mine.toml"]))
def test_damage_is_read_left_out_or_refused(tmp_path, changes, file):
    kind = "parquet" if file == "mine.parquet" else "csv"
    path = written(tmp_path / kind, table(3, 3), kind=kind)
    text = bytearray((path.parent / file).read_bytes())
    for at, byte in changes:
        text[at % len(text)] = byte
    (path.parent / file).write_bytes(text)
    with suppress(DataError):
        assert all(isinstance(one, Recording | Skipped) for one in sequences(path))


def test_the_page_runs_as_it_stands(tmp_path):
    text = PAGE.read_text("utf-8")
    batch = re.search(r"`skelray run .*--set batch_size=(\d+)", text)
    assert batch is not None
    assert int(batch[1]) <= 36  # the sequences that train, below
    for name, content in re.findall(r"<!-- file (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(content)
    commands = "\n".join(re.findall(r"<!-- run -->\n```bash\n(.*?)```", text, re.DOTALL))
    assert commands.count("skelray ") == 3
    (tmp_path / "skelray").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from skelray.cli.main import main; main()" "$@"\n'
    )
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for command in ("skelray", "python"):
        (tmp_path / command).chmod(0o755)
    commands += "\npython wide_to_long.py"
    search = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=tmp_path, env={**os.environ, **search}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "48 sequences, 1,920 frames" in done.stdout
    assert "xsub: 36 train, 12 of them held out (subjects 3), 12 test" in done.stdout
    assert "nothing is wrong" in done.stdout
    assert "36 train, 12 of them held out, 12 test" in done.stdout
    assert re.search(r"a +1 +hand +0\.5 +1\.4 +2\.8 +wave +1", done.stdout)
    assert (tmp_path / "gestures.png").read_bytes().startswith(b"\x89PNG")
