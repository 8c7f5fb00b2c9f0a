"""Prepared data sets: official split counts, held-out subjects, shared memory, and damage told in one sentence."""

import csv
import json
import os
import random
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_files import drawn_benchmark, write_nwucla

from skelray.data import MSR_ACTION3D, NTU60, NWUCLA, DataError, SkeletonDataset, Split, load_splits, open_dataset, prepare
from skelray.data.benchmarks import BENCHMARKS
from skelray.data.content import check_content
from skelray.data.dataset import divide
from skelray.data.formats.ntu import NAME, missing_skeletons
from skelray.data.stored import COLUMNS


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    prepare(drawn_benchmark(150), None, root)
    return root


@pytest.fixture(scope="module")
def ntu_rows(shared):
    """Every recording of NTU RGB+D 120 that is not in the list of missing skeletons, as rows of a samples table."""
    rows = []
    with open(shared("reference/ntu_recordings.csv"), newline="") as file:
        for line in csv.DictReader(file):
            setup = int(line["setup"])
            for performer in map(int, line["performers"].split()):
                for action in range(1, 61) if setup <= 17 else range(61, 121):
                    for camera in (1, 2, 3):
                        for replication in (1, 2):
                            rows.append((setup, camera, performer, replication, action))
    table = pd.DataFrame(rows, columns=["setup", "camera", "subject", "replication", "action"])
    table["name"] = [f"S{s:03}C{c:03}P{p:03}R{r:03}A{a:03}" for s, c, p, r, a in rows]
    assert all(NAME.fullmatch(f"{name}.skeleton") for name in table["name"][:100])
    return table.assign(label=table["action"] - 1)


def as_dataset(benchmark, rows):
    samples = rows[~rows["name"].isin(missing_skeletons())].reset_index(drop=True)
    return SkeletonDataset(
        benchmark.name,
        np.zeros((len(samples), 3, 1, 1, 1), np.float32),
        np.arange(len(samples)),
        samples,
        benchmark.skeleton,
        benchmark.classes,
        "",
    )


@pytest.mark.parametrize(
    ("name", "protocol", "train", "test"),
    [
        ("ntu60", "xsub", 40_091, 16_487),
        ("ntu60", "xview", 37_646, 18_932),
        ("ntu120", "xsub", 63_026, 50_919),
        ("ntu120", "xset", 54_468, 59_477),
    ],
)
def test_official_counts_of_ntu(ntu_rows, name, protocol, train, test):
    rows = ntu_rows[ntu_rows["action"] <= len(BENCHMARKS[name].classes)]
    splits = divide(as_dataset(BENCHMARKS[name], rows), BENCHMARKS[name].protocols[protocol])
    assert (len(splits.train), len(splits.test)) == (train, test)
    check_splits(splits)


@pytest.mark.parametrize(
    ("benchmark", "file", "counts"),
    [
        (NWUCLA, "data/NW-UCLA.zip", {"xview": (1020, 464), "xsub": (724, 760)}),
        (
            MSR_ACTION3D,
            "data/MSRAction3DSkeletonReal3D.zip",
            {"xsub": (284, 273), "as1": (114, 105), "as2": (116, 112), "as3": (111, 111)},
        ),
    ],
    ids=["nwucla", "msr_action3d"],
)
def test_real_data(shared, tmp_path, benchmark, file, counts):
    report = prepare(benchmark, shared(file), tmp_path)
    for protocol, (train, test) in counts.items():
        splits = load_splits(tmp_path, benchmark.name, protocol)
        assert (len(splits.train), len(splits.test)) == (train, test)
        check_splits(splits)
        assert set(splits.train.labels) == set(splits.test.labels)
    assert report.sequences == {"nwucla": 1484, "msr_action3d": 557}[benchmark.name]
    assert report.frames == {"nwucla": 58_534, "msr_action3d": 22_077}[benchmark.name]
    assert len(report.short) == {"nwucla": 10, "msr_action3d": 0}[benchmark.name]
    assert sum(map(len, report.skipped.values())) == {"nwucla": 0, "msr_action3d": 10}[benchmark.name]
    assert np.isfinite(open_dataset(tmp_path, benchmark.name).sequences).all()


def check_splits(splits):
    train, test, held_out, reduced = (
        set(part.rows.tolist()) for part in (splits.train, splits.test, splits.held_out, splits.reduced)
    )
    assert not train & test
    assert held_out
    assert reduced
    assert held_out | reduced == train
    assert not held_out & reduced
    assert not set(splits.held_out.samples["subject"]) & set(splits.reduced.samples["subject"])
    subjects = sorted(set(splits.train.samples["subject"]))
    chosen = [subject for at, subject in enumerate(subjects) if at % 5 == 2]
    assert sorted(set(splits.held_out.samples["subject"])) == chosen


def test_splits_of_a_prepared_set(prepared):
    splits = load_splits(prepared, "drawn", "xsub")
    check_splits(splits)
    assert set(splits.train.samples["subject"]) == {1, 2, 3, 4}
    few = load_splits(prepared, "drawn", "few")
    assert set(few.train.labels) == set(few.test.labels) == {0, 2}


def test_few_subjects_leave_something_to_train_on(prepared):
    whole = open_dataset(prepared, "drawn")
    split = drawn_benchmark(0).protocols["xsub"]
    two = divide(whole, replace(split, train=(1, 4)))
    assert set(two.held_out.samples["subject"]) == {4}
    one = divide(whole, replace(split, train=(4,)))
    assert 0 < len(one.held_out) < len(one.train)
    assert len(one.reduced) == len(one.train) - len(one.held_out)
    with pytest.raises(DataError, match="0 training and"):
        divide(whole, replace(split, train=(99,)))


def test_subsets_share_the_array(prepared):
    whole = open_dataset(prepared, "drawn")
    assert isinstance(whole.sequences, np.memmap)
    assert not whole.sequences.flags.writeable
    mask = whole.labels == 1
    subset = whole.subset(mask)
    assert subset.sequences is whole.sequences
    np.testing.assert_array_equal(subset.rows, np.flatnonzero(mask))
    assert set(subset.labels) == {1}
    assert subset.labels.dtype == np.int64
    nested = subset.subset([2, 0])
    np.testing.assert_array_equal(nested.rows, subset.rows[[2, 0]])
    assert nested.samples["name"].tolist() == subset.samples["name"].iloc[[2, 0]].tolist()
    assert tuple(nested.samples.columns) == COLUMNS
    assert len(whole.subset([])) == 0
    with pytest.raises(ValueError, match="a mask over"):
        whole.subset([True, False])
    assert repr(subset).startswith("SkeletonDataset('drawn', ")


def test_a_missing_data_set_or_protocol_is_one_sentence(prepared):
    with pytest.raises(DataError, match=r"ntu60 is not prepared in .*`skelray prepare ntu60 PATH`"):
        load_splits(prepared, "ntu60", "xsub")
    with pytest.raises(DataError, match="`skelray prepare synthetic`"):
        load_splits(prepared, "synthetic", "xsub")
    known = ", ".join(sorted(BENCHMARKS))
    with pytest.raises(DataError, match=f"nwulca is not prepared in .*, which holds drawn; `skelray prepare` knows {known}"):
        load_splits(prepared, "nwulca", "xsub")
    with pytest.raises(DataError, match="drawn has no protocol 'xset'; it has few, xsub"):
        load_splits(prepared, "drawn", "xset")


def drop_column(path):
    pd.read_parquet(path).drop(columns="label").to_parquet(path)


def drop_row(path):
    pd.read_parquet(path).iloc[1:].to_parquet(path)


def label(value):
    def write(path):
        table = pd.read_parquet(path)
        table.assign(label=table["label"].where(table.index != 3, value)).to_parquet(path)

    return write


def divided_by(key):
    def write(path):
        about = json.loads(path.read_text())
        about["protocols"]["few"]["by"] = key
        path.write_text(json.dumps(about))

    return write


def other_type(path):
    np.save(path, np.load(path).astype(np.float64))


def edit(**changes):
    def write(path):
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return write


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("sequences.npy", lambda path: os.truncate(path, path.stat().st_size - 4)),
        ("sequences.npy", lambda path: os.truncate(path, 20)),
        ("sequences.npy", lambda path: os.truncate(path, 0)),
        ("sequences.npy", lambda path: path.write_bytes(path.read_bytes() + b"more")),
        ("sequences.npy", lambda path: path.write_text("text")),
        ("sequences.npy", other_type),
        ("sequences.npy", lambda path: path.unlink()),
        ("samples.parquet", lambda path: os.truncate(path, path.stat().st_size // 2)),
        ("samples.parquet", lambda path: os.truncate(path, 0)),
        ("samples.parquet", lambda path: path.unlink()),
        ("samples.parquet", drop_column),
        ("samples.parquet", label(3)),
        ("samples.parquet", label(-1)),
        ("samples.parquet", label(np.nan)),
        ("sequences.npy", lambda path: drop_row(path.with_name("samples.parquet"))),
        ("dataset.json", lambda path: os.truncate(path, 100)),
        ("dataset.json", lambda path: path.write_text("[]")),
        ("dataset.json", edit(format=99)),
        ("dataset.json", edit(skeleton={"name": "none"})),
        ("dataset.json", edit(protocols=[])),
        ("dataset.json", divided_by("performer")),
        ("dataset.json", divided_by(["subject"])),
        ("dataset.json", edit(classes=None)),
    ],
)
def test_damage_is_one_sentence_that_names_the_file(prepared, tmp_path, file, damage):
    shutil.copytree(prepared / "drawn", tmp_path / "drawn")
    damage(tmp_path / "drawn" / file)
    with pytest.raises(DataError) as error:
        load_splits(tmp_path, "drawn", "xsub")
    assert str(tmp_path / "drawn" / file) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def flip(path, draw):
    content = bytearray(path.read_bytes())
    bit = draw.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["sequences.npy", "samples.parquet", "dataset.json"])
def test_a_bit_that_flips_is_found_and_prepared_anew(prepared, tmp_path, file):
    """Or it changes nothing that is read, as in the padding of a file."""
    draw, found = random.Random(0), 0
    place = tmp_path / "drawn"
    shutil.copytree(prepared / "drawn", place)
    check_content(tmp_path, "drawn")
    whole = (place / file).read_bytes()
    expected = prepared_as(tmp_path)
    for _ in range(12):
        flip(place / file, draw)
        if prepared_as(tmp_path) != expected:
            found += 1
            with pytest.raises(DataError, match=re.escape(str(place))):
                check_content(tmp_path, "drawn")
        (place / file).write_bytes(whole)
    assert found > 3


def prepared_as(root):
    """What a run would read; None where it cannot be opened."""
    try:
        splits = load_splits(root, "drawn", "xsub")
    except DataError:
        return None
    parts = (splits.train, splits.test)
    return [(part.samples.to_csv(), part.batch(range(len(part))).tobytes(), part.fingerprint) for part in parts]


def test_damaged_data_is_prepared_again_by_the_same_command(tmp_path):
    source = write_nwucla(tmp_path / "raw")
    prepare(NWUCLA, source, tmp_path)
    assert prepare(NWUCLA, source, tmp_path).already
    path = tmp_path / "nwucla" / "sequences.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert not prepare(NWUCLA, source, tmp_path).already
    assert path.read_bytes() == whole


def test_half_a_data_set_is_never_taken_for_a_whole_one(tmp_path):
    source = write_nwucla(tmp_path / "raw")
    prepare(NWUCLA, source, tmp_path)
    assert len(open_dataset(tmp_path, "nwucla")) == 40
    (tmp_path / "nwucla" / "dataset.json").unlink()
    with pytest.raises(DataError, match="is not prepared"):
        open_dataset(tmp_path, "nwucla")


def test_a_part_of_a_benchmark_says_so(tmp_path, golden):
    assert prepare(NTU60, golden("ntu"), tmp_path).sequences == 6
    samples = open_dataset(tmp_path, "ntu60").samples
    for camera in (1, 2, 3):
        part = samples[samples["camera"] == camera]
        whole = open_dataset(tmp_path, "ntu60").subset(part.index.to_numpy())
        with pytest.raises(DataError, match="was not whole"):
            divide(whole, NTU60.protocols["xview"])


SUBJECTS = st.lists(st.integers(1, 12), min_size=2, max_size=60)


@settings(max_examples=100, deadline=None)
@given(subjects=SUBJECTS, train=st.sets(st.integers(1, 12), min_size=1), parts=st.booleans())
def test_held_out_subjects_come_only_from_training_subjects(prepared, subjects, train, parts):
    """By the stated rule: every fifth training subject from the third on, the last one of two, and nobody who tests."""
    whole = open_dataset(prepared, "drawn")
    rows = np.arange(len(subjects)) % len(whole)
    part = np.where(np.isin(subjects, list(train)), 0, 1)
    dataset = replace(whole.subset(rows), samples=whole.samples.iloc[rows].assign(subject=subjects, part=part))
    split = Split("part", (0,)) if parts else Split("subject", tuple(train))
    if len(set(part)) < 2:
        with pytest.raises(DataError, match="was not whole"):
            divide(dataset, split)
        return
    splits = divide(dataset, split)
    held_out, tested = set(splits.held_out.samples["subject"]), set(splits.test.samples["subject"])
    trained = sorted(set(splits.train.samples["subject"]))
    assert held_out <= set(trained) <= train
    assert not held_out & tested
    if len(trained) > 1:
        assert sorted(held_out) == (trained[2::5] if len(trained) > 2 else trained[-1:])
        assert not held_out & set(splits.reduced.samples["subject"])
    assert len(splits.held_out) + len(splits.reduced) == len(splits.train)
    assert len(splits.train) + len(splits.test) == len(dataset)


def test_samples_of_neither_list_take_no_part(prepared):
    whole = open_dataset(prepared, "drawn")
    codes = np.arange(len(whole)) % 4 - 1
    dataset = replace(whole, samples=whole.samples.assign(part=codes))
    splits = divide(dataset, Split("part", (0,), test=(2,)))
    assert set(splits.train.samples["part"]) == {0}
    assert set(splits.test.samples["part"]) == {2}
    assert set(divide(dataset, Split("part", (0,))).test.samples["part"]) == {1, 2}
