"""The released code's own arrays: the same data set as from the raw recordings, as far as each of them goes."""

import os
import pickle
import shutil
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from raw_files import (
    halves,
    labels_of,
    ntu_clips,
    ntu_names,
    skeleton_text,
    stacked,
    write_npy,
    write_npz,
    write_pyskl,
    write_pyskl_2d,
)

from skelray.data import NTU60, NTU120, DataError, Preprocessing, Skipped, load_splits, open_dataset, prepare
from skelray.data.detect import detect
from skelray.data.formats.names import protocol_of
from skelray.data.formats.npz import ZippedArray
from skelray.skeleton import COCO, KINECT_V2

NAMES, CLIPS = ntu_names(), ntu_clips()
CENTRED, RIGID = Preprocessing(), Preprocessing("rigid", 300)


def done(preprocessing, clips=CLIPS):
    return np.stack([preprocessing(clip, KINECT_V2, 2) for clip in clips])


def write_raw(folder):
    folder.mkdir()
    for name, clip in zip(NAMES, CLIPS, strict=True):
        frames = [frame[frame.any(axis=(1, 2))] for frame in clip]
        (folder / f"{name}.skeleton").write_bytes(skeleton_text(frames))
    return folder


SOURCES = {
    "position": lambda root: write_npy(root / "xsub", done(CENTRED), NAMES, "position"),
    "data": lambda root: write_npy(root / "stgcn", stacked(CLIPS, 300), NAMES, "data", protocol=2),
    "data_joint": lambda root: write_npy(root / "hico", done(RIGID), NAMES, "data_joint", [len(c) for c in CLIPS]),
    "npz": lambda root: write_npz(root / "NTU60_CS.npz", CLIPS, NAMES, 60),
    "npz compressed": lambda root: write_npz(root / "NTU60_CS.npz", CLIPS, NAMES, 60, compressed=True),
    "pyskl": lambda root: write_pyskl(root / "ntu60_3danno.pkl", CLIPS, NAMES),
}
TOLERANCE = {"npz": 2e-5, "npz compressed": 2e-5}  # a translation and its rounding


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Data prepared from raw recordings, by preprocessing path."""
    root = tmp_path_factory.mktemp("raw")
    write_raw(root / "files")
    for preprocessing in (CENTRED, RIGID):
        prepare(NTU60, root / "files", root / preprocessing.path, preprocessing)
    return {path: open_dataset(root / path, "ntu60") for path in ("centred", "rigid")}


@pytest.mark.parametrize("path", ["centred", "rigid"])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_gives_what_the_raw_recordings_give(raw, tmp_path, kind, path):
    benchmark = detect(SOURCES[kind](tmp_path))
    assert benchmark.name == "ntu60"
    preprocessing = {"centred": CENTRED, "rigid": RIGID}[path]
    if benchmark.preprocessed not in (None, preprocessing):
        with pytest.raises(DataError, match="already, and are not preprocessed twice"):
            prepare(benchmark, tmp_path, tmp_path / "data", preprocessing)
        return
    prepare(benchmark, tmp_path, tmp_path / "data", preprocessing, workers=2)
    made, whole = open_dataset(tmp_path / "data", "ntu60"), raw[path]
    assert made.repeated == (path == "rigid")
    parts = halves(NAMES)
    order = [NAMES[at] for at in (range(len(NAMES)) if kind == "pyskl" else [*parts["train"], *parts["val"]])]
    rows = [whole.samples["name"].tolist().index(name) for name in order]
    expected = whole.samples.iloc[rows].reset_index(drop=True)
    if kind == "pyskl":  # in half precision
        rounded = dict(
            zip(NAMES, done(preprocessing, [clip.astype(np.float16).astype(np.float32) for clip in CLIPS]), strict=True)
        )
        np.testing.assert_array_equal(made.sequences, [rounded[name] for name in order])
    else:
        np.testing.assert_allclose(made.sequences, whole.sequences[rows], atol=TOLERANCE.get(kind, 0), rtol=0)
    columns = ["label", "persons"] + (["frames"] if kind != "position" else [])
    columns += [] if kind.startswith("npz") else ["name", "subject", "camera", "setup", "replication"]
    assert made.samples[columns].equals(expected[columns])


@pytest.mark.parametrize("kind", SOURCES)
def test_protocols_follow_names_where_there_are_names(tmp_path, kind):
    benchmark = detect(SOURCES[kind](tmp_path))
    report = prepare(benchmark, tmp_path, tmp_path / "data")
    if not kind.startswith("npz"):
        assert dict(benchmark.protocols) == dict(NTU60.protocols)
        splits = load_splits(tmp_path / "data", "ntu60", "xview")
        assert set(splits.train.samples["camera"]) == {2, 3}
        assert set(splits.test.samples["camera"]) == {1}
        return
    assert any("names, and with them subject, camera" in sentence for sentence in report.missing_information)
    assert "every fifth is held out" in str(report)
    splits, parts = load_splits(tmp_path / "data", "ntu60", "xsub"), halves(NAMES)
    assert splits.train.labels.tolist() == [labels_of(NAMES)[at] for at in parts["train"]]
    assert splits.test.labels.tolist() == [labels_of(NAMES)[at] for at in parts["val"]]
    assert splits.held_out.rows.tolist() == splits.train.rows[2::5].tolist()
    with pytest.raises(DataError, match="it has xsub"):
        load_splits(tmp_path / "data", "ntu60", "xview")


def test_what_is_lost_is_said(tmp_path):
    lost = {
        kind: " | ".join(detect(SOURCES[kind](tmp_path / kind.replace(" ", ""))).missing_information)
        for kind in SOURCES
        if not (tmp_path / kind.replace(" ", "")).mkdir()
    }
    assert "how many frames were recorded" in lost["position"]
    assert "bodies beyond the first two" in lost["data"]
    assert lost["data_joint"] == ""
    assert "joint 2 of the first frame is at zero" in lost["npz"]
    assert "half precision" in lost["pyskl"]


def test_ntu_120_is_told_by_actions_and_by_classes(tmp_path):
    names = ntu_names(action=120)
    assert detect(write_npy(tmp_path / "a", stacked(CLIPS, 20), names, "data")).name == "ntu120"
    assert detect(write_npz(tmp_path / "NTU120_CSet.npz", CLIPS, names, 120)).protocols.keys() == {"xset"}
    with pytest.raises(DataError, match="these arrays are no ntu60: they have 25 joints and labels up to"):
        detect(tmp_path / "NTU120_CSet.npz", NTU60)
    assert detect(write_npz(tmp_path / "own.npz", CLIPS, NAMES, 60), NTU120).name == "ntu120"
    assert detect(write_npz(tmp_path / "own.npz", CLIPS, NAMES, 60)).protocols.keys() == {"own"}


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        *(("NTU60_CS.npz", "xsub"), ("NTU60_CV.npz", "xview"), ("NTU120_CSub.npz", "xsub"), ("NTU120_CSet.npz", "xset")),
        *(("NTU60_XSub.npz", "xsub"), ("PKUv2_XSub.npz", "xsub"), ("ntu60_frame50/xview", "xview"), ("plain.npz", "own")),
    ],
)
def test_protocols_are_told_by_names_of_files(tmp_path, path, protocol):
    assert protocol_of(tmp_path / path) == protocol


def test_an_array_of_one_person_and_of_another_type(tmp_path):
    single = stacked([clip[:, :1] for clip in CLIPS], 40).astype(np.float16)
    benchmark = detect(write_npy(tmp_path / "one", single, NAMES, "data"))
    assert prepare(benchmark, tmp_path / "one", tmp_path).sequences == len(CLIPS)
    assert not open_dataset(tmp_path, "ntu60").sequences[..., 1].any()


def test_pku_arrays_of_aimclr(tmp_path):
    names = [f"F{at % 7 + 2:03}V{at % 3 + 1:03}C{at % 51 + 1:03}L{at:03}" for at in range(40)]
    folder = tmp_path / "pku_part1_frame50" / "xsub"
    folder.mkdir(parents=True)
    for part, chosen in (("train", range(30)), ("val", range(30, 40))):
        np.save(folder / f"{part}_position.npy", done(CENTRED, [CLIPS[at] for at in chosen]))
        with open(folder / f"{part}_label.pkl", "wb") as file:
            pickle.dump(([names[at] for at in chosen], [at % 51 for at in chosen]), file)
    benchmark = detect(folder)
    assert benchmark.name == "pku_part1_frame50"
    prepare(benchmark, folder, tmp_path)
    samples = open_dataset(tmp_path, benchmark.name).samples
    assert samples["camera"].tolist() == [at % 3 + 1 for at in range(40)]
    assert samples["setup"].tolist() == [at % 7 + 2 for at in range(40)]
    splits = load_splits(tmp_path, benchmark.name, "xsub")
    assert (len(splits.train), len(splits.test)) == (30, 10)
    assert not set(splits.held_out.samples["setup"]) & set(splits.reduced.samples["setup"])


def test_points_of_an_image(tmp_path):
    path = write_pyskl_2d(tmp_path / "ucf101_hrnet.pkl")
    benchmark = detect(path)
    assert benchmark.skeleton == COCO
    assert prepare(benchmark, path, tmp_path, Preprocessing("plain", 12)).sequences == 24
    whole = open_dataset(tmp_path, "ucf101_hrnet")
    with open(path, "rb") as file:
        first = pickle.load(file)["annotations"][0]
    x, y = np.moveaxis(first["keypoint"][0].astype(np.float32), -1, 0)
    expected = np.stack([x / 200 - 0.5, y / 100 - 0.5, first["keypoint_score"][0].astype(np.float32)])
    expected[:, 3, 5] = 0  # a point without a score
    np.testing.assert_allclose(whole.sequences[0, ..., 0], expected, atol=1e-6)
    assert sorted(benchmark.protocols) == ["split1", "split2", "split3"]
    for number in (1, 2, 3):  # the last sample is in no division
        splits = load_splits(tmp_path, "ucf101_hrnet", f"split{number}")
        assert splits.test.samples["name"].tolist() == [f"v_{at:03}" for at in range(23) if at % 3 == number - 1]
        assert splits.train.samples["name"].tolist() == [f"v_{at:03}" for at in range(23) if at % 3 != number - 1]


def test_older_lists_are_divided_by_the_names_of_their_files(tmp_path):
    write_pyskl_2d(tmp_path / "whole.pkl")
    with open(tmp_path / "whole.pkl", "rb") as file:
        annotations = pickle.load(file)["annotations"]
    (tmp_path / "old").mkdir()
    for part, chosen in (("train", annotations[:16]), ("val", annotations[16:])):
        with open(tmp_path / "old" / f"hmdb_xsub_{part}.pkl", "wb") as file:
            pickle.dump(chosen, file)
    benchmark = detect(tmp_path / "old")
    prepare(benchmark, tmp_path / "old", tmp_path)
    splits = load_splits(tmp_path, benchmark.name, "xsub")
    assert (benchmark.name, len(splits.train), len(splits.test)) == ("hmdb_xsub", 16, 8)


def test_labels_that_contradict_names_are_left_out(tmp_path):
    folder = write_npy(tmp_path / "a", stacked(CLIPS, 20), NAMES, "data")
    with open(folder / "train_label.pkl", "rb") as file:
        names, labels = pickle.load(file)
    with open(folder / "train_label.pkl", "wb") as file:
        pickle.dump((["S001C002P005R002A008", *names[1:]], [7, (labels[1] + 1) % 60, *labels[2:]]), file)
    first, second, third = detect(folder).recordings(folder)[:3]
    assert first == Skipped("S001C002P005R002A008", "in the list of missing skeletons")
    assert second == Skipped(names[1].removesuffix(".skeleton"), "its label is not the action of its name")
    assert third.label == labels[2]


def test_a_plain_npz_is_mapped_and_a_compressed_one_read_in_any_order(tmp_path):
    plain = ZippedArray(write_npz(tmp_path / "a.npz", CLIPS, NAMES, 60), "x_train")
    packed = ZippedArray(write_npz(tmp_path / "b.npz", CLIPS, NAMES, 60, compressed=True), "x_train")
    assert isinstance(plain._mapped, np.memmap)
    for at in (0, 1, 7, 3, 19, 0):
        np.testing.assert_array_equal(plain.row(at), packed.row(at))


def cut(name, size):
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - size)


def other(name, array):
    return lambda folder: np.save(folder / name, array)


def pickled(name, content):
    return lambda folder: (folder / name).write_bytes(pickle.dumps(content))


BROKEN = {
    "a cut array": (cut("train_data.npy", 100), "train_data.npy is truncated or corrupt"),
    "an empty array": (lambda folder: (folder / "val_data.npy").write_bytes(b""), "val_data.npy is truncated"),
    "another shape": (other("train_data.npy", np.zeros((20, 3, 9, 20, 2))), "not (samples, 3, frames, 25, bodies)"),
    "objects": (lambda folder: np.save(folder / "val_data.npy", np.array([None]), allow_pickle=True), "val_data.npy is"),
    "text": (other("train_data.npy", np.array(["a"])), "is no array of numbers"),
    "no labels": (lambda folder: (folder / "val_label.pkl").unlink(), "lacks val_label.pkl"),
    "fewer labels": (pickled("val_label.pkl", (["a"], [1])), "holds 20 samples, but there are 1 labels beside it"),
    "labels of text": (pickled("val_label.pkl", (["a"], ["b"])), "holds labels that are no classes"),
    "negative labels": (pickled("val_label.pkl", (["a"], [-1])), "holds labels that are no classes (one is -1)"),
    "names of numbers": (pickled("val_label.pkl", ([1], [1])), "names that are no text"),
    "one name": (pickled("val_label.pkl", (5, [1])), "names that are no text"),
    "no names": (pickled("val_label.pkl", (None, [1])), "names that are no text"),
    "labels in lists": (pickled("val_label.pkl", (["a"], [[1]])), "holds labels that are no classes"),
    "no pair": (pickled("val_label.pkl", {"a": 1}), "holds no pair of names and labels"),
    "a hostile pickle": (
        lambda folder: (folder / "val_label.pkl").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR."),
        "is not a pickle of arrays and plain containers (the name os.system)",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_broken_source_is_one_sentence(tmp_path, damage, sentence):
    folder = write_npy(tmp_path / "a", stacked(CLIPS, 20), NAMES, "data")
    damage(folder)
    with pytest.raises(DataError) as error:
        detect(folder)
    assert sentence in str(error.value)
    assert len(str(error.value).splitlines()) == 1


LENGTHS = {
    "two each": np.full((20, 2), 9),
    "too few": np.full(19, 9),
    "not numbers": np.full(20, np.nan),
    "negative": np.full(20, -3),
    "more than there are": np.full(20, 10**9),
    "a half": np.full(20, 0.5),
}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_odd_numbers_of_frames_are_one_sentence(tmp_path, lengths):
    folder = write_npy(tmp_path / "a", stacked(CLIPS, 20), NAMES, "data_joint", [9] * len(NAMES))
    assert len(detect(folder).recordings(folder)[0:3]) == 3
    np.save(folder / "train_num_frame.npy", np.full((20, 1), 9.0))
    assert detect(folder).recordings(folder)[0].frames == 9
    np.save(folder / "train_num_frame.npy", lengths)
    with pytest.raises(DataError, match=r"train_num_frame\.npy (holds|says that)"):
        detect(folder)


def nested(depth: int) -> bytes:
    """Opcodes that push a list of ten lists of ten lists ...: 10 ** depth numbers once it is written out."""
    ops = b"](" + b"K\x01" * 10 + b"eq\x00"
    for level in range(depth - 1):
        ops += b"0](" + bytes([ord("h"), level]) * 10 + b"eq" + bytes([level + 1])
    return ops


def deep(depth: int) -> bytes:
    """Opcodes that push lists inside each other."""
    return b"]" * depth + b"a" * (depth - 1)


BOMBS = {
    "names": b"\x80\x02" + nested(12) + b"]\x86.",
    "labels": b"\x80\x02]U\x01aa" + nested(12) + b"\x86.",
    "a shape": b"\x80\x02]cnumpy.core.multiarray\n_frombuffer\n(U\x01a" + nested(12) + b"tR\x86.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_pickle_that_nests_is_not_written_out(tmp_path, name):
    folder = write_npy(tmp_path / "a", stacked(CLIPS, 20), NAMES, "data")
    (folder / "val_label.pkl").write_bytes(BOMBS[name])
    with pytest.raises(DataError) as error:
        detect(folder)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("frame_dir", [nested(12), deep(5000)], ids=["wide", "deep"])
def test_a_name_that_nests_is_not_written_out(tmp_path, frame_dir):
    keypoint = pickle.dumps(np.ones((1, 20, 25, 3), np.float16), 2)[2:-1]
    body = b"\x80\x02}(U\x0bannotations](}(U\x09frame_dir" + frame_dir
    (tmp_path / "my.pkl").write_bytes(body + b"U\x05labelK\x00U\x08keypoint" + keypoint + b"ueu.")
    with pytest.raises(DataError, match="holds names that are no texts"):
        detect(tmp_path / "my.pkl")


def test_odd_divisions_are_one_sentence(tmp_path):
    write_pyskl(tmp_path / "a.pkl", CLIPS, NAMES)
    stored = pickle.loads((tmp_path / "a.pkl").read_bytes())
    for split in ({1: ["v0"], "xsub_train": ["v1"]}, {"xsub_train": 5}, {"xsub_train": [["v1"]]}, []):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({**stored, "split": split}))
        with pytest.raises(DataError, match=r"a.pkl (has a `split` that is no dictionary|holds names that are no texts)"):
            detect(tmp_path / "a.pkl")


NPZ = {
    "no arrays": ({"x_train": np.zeros(3)}, "holds no files of a known format"),
    "not one-hot": ({"y_train": np.full((20, 60), 0.5)}, "y_train is (20, 60) and not one-hot"),
    "fewer labels": ({"y_test": np.eye(60)[:3]}, "x_test is (20, 300, 150) with 3 labels"),
    "other joints": ({"x_test": np.zeros((20, 300, 60))}, "x_test is (20, 300, 60) with 20 labels"),
    "objects": ({"x_test": np.array([None] * 20)}, "x_test is no whole array of numbers"),
}


@pytest.mark.parametrize(("changes", "sentence"), NPZ.values(), ids=NPZ)
def test_a_broken_npz_is_one_sentence(tmp_path, changes, sentence):
    path = write_npz(tmp_path / "a.npz", CLIPS, NAMES, 60)
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **(changes if len(changes) == 1 and "x_train" in changes else {**arrays, **changes}))
    with pytest.raises(DataError) as error:
        detect(path)
    assert sentence in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_an_npz_that_claims_more_than_it_has_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    head = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1000000, 1000000), }"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{key}.npy", head.ljust(127) + b"\n" + b"\0" * 1000)
    with pytest.raises(DataError, match="y_train is no whole array of numbers"):
        detect(path)


def header(shape: str, version: int = 1) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 * version, "little") + text


HEADERS = {
    "rows without numbers": header("(1000000000000, 0)"),
    "a header of 256 MB": header("(1, 1)", 2)[:8] + (1 << 28).to_bytes(4, "little") + b" " * (1 << 28),
}


@pytest.mark.parametrize("y_train", HEADERS.values(), ids=HEADERS)
def test_an_npz_made_to_take_time_or_memory_is_refused(tmp_path, y_train):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("y_train", "x_train", "x_test", "y_test"):
            archive.writestr(f"{key}.npy", y_train if key == "y_train" else b"")
    tracemalloc.start()
    with pytest.raises(DataError, match=r"y_train is no whole array of numbers|is no npz of"):
        detect(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(list(SOURCES)), seed=st.integers(0, 10**6), holes=st.integers(1, 8))
@example(kind="position", seed=400, holes=5)  # a header that is no Python expression even to the tokeniser
def test_a_damaged_source_is_read_or_refused(tmp_path, kind, seed, holes):
    """No crash but the clear error, wherever bytes are broken."""
    shutil.rmtree(tmp_path / "a", ignore_errors=True)
    (tmp_path / "a").mkdir()
    SOURCES[kind](tmp_path / "a")
    files = sorted(path for path in (tmp_path / "a").rglob("*") if path.is_file())
    rng = np.random.default_rng(seed)
    path = files[rng.integers(len(files))]
    text = bytearray(path.read_bytes())
    reach = len(text) if rng.random() < 0.5 else min(len(text), 400)  # headers more often than their share
    for at in rng.integers(0, reach, holes):
        text[at] = rng.integers(256)
    path.write_bytes(text[: rng.integers(len(text))] if rng.random() < 0.2 else text)
    with suppress(DataError):
        assert len(list(detect(tmp_path / "a").recordings(tmp_path / "a"))) <= len(NAMES)
