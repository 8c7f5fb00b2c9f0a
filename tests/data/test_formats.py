"""The readers of each format: real and made-up files, whole and broken, in folders and zips."""

import os
import re
import struct
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_files import (
    ntu_clips,
    ntu_names,
    skeleton_text,
    stacked,
    walk,
    write_npy,
    write_npz,
    write_nwucla,
    write_pyskl,
)

from skelray.data import MSR_ACTION3D, NTU60, NTU120, NWUCLA, DataError, Recording, Skipped, prepare
from skelray.data.benchmarks import BENCHMARKS
from skelray.data.detect import detect
from skelray.data.formats.ntu import missing_skeletons, read_skeleton
from skelray.skeleton import KINECT_V1

numbers = st.floats(-1e6, 1e6, width=32, allow_subnormal=False) | st.sampled_from([0.0, -0.0, 1e-7, -9.536743e-07])


@st.composite
def texts(draw):
    counts = draw(st.lists(st.integers(0, 3), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    frames = [rng.normal(size=(count, 25, 3)) * 10 ** rng.uniform(-9, 2, (count, 25, 3)) for count in counts]
    if frames[0].size:
        frames[0][0, 0] = draw(st.tuples(numbers, numbers, numbers))
    return frames


@given(texts(), st.sampled_from(["\n", "\r\n", "\n\n"]), st.sampled_from([" ", "  ", "\t"]))
def test_ntu_text_is_read_exactly(frames, newline, gap):
    bodies = read_skeleton(skeleton_text(frames, newline, gap))
    assert bodies.shape == (len(frames), max(map(len, frames)), 25, 3)
    for frame, expected in zip(bodies, frames, strict=True):
        np.testing.assert_array_equal(frame[: len(expected)], expected.astype(np.float32))
        assert not frame[len(expected) :].any()


@settings(max_examples=200)
@given(st.integers(0, 10**9), st.sampled_from(["\n", "\r\n"]))
def test_a_truncated_text_is_refused_wherever_it_is_cut(cut, newline):
    text = skeleton_text([walk(1, 25, count, seed=count)[0] for count in (1, 0, 2)], newline)
    with pytest.raises((ValueError, IndexError)):
        read_skeleton(text[: cut % len(text.rstrip())])


@given(st.data())
def test_a_damaged_text_is_read_or_refused(data):
    text = bytearray(skeleton_text([walk(1, 25, 2)[0]]))
    for _ in range(data.draw(st.integers(1, 5))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b"9 \n-.\x00\xffe"))
    with suppress(ValueError, IndexError):
        assert read_skeleton(bytes(text)).shape[2:] == (25, 3)


CLAIMS = st.sampled_from(
    [b"0", b"1", b"3", b"25", b"32", b"33", b"-1", b"999999999999", b"9" * 5000, b"", b" ", b"1 2", b"x"]
)


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(CLAIMS | st.binary(max_size=30) | st.just(b" ".join([b"0.5"] * 12)), max_size=60))
def test_any_text_is_read_or_refused_and_claims_are_not_believed(lines):
    """No number in a text makes the reader set memory aside for what does not follow."""
    tracemalloc.start()
    with suppress(ValueError, IndexError):
        read_skeleton(b"\n".join(lines))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("text", ["frames of one body after a crowd", "lines", "spaces"])
def test_a_small_text_does_not_become_a_large_array(text):
    body = b"7 0 0 0 0 0 0 0 0 2\n25\n" + b"0.1 0.2 0.3 0 0 0 0 0 0 0 0 2\n" * 25
    content = {
        "frames of one body after a crowd": b"300001\n32\n" + body * 32 + b"0\n" * 300_000,
        "lines": b"1\n" + b"\n" * (1 << 24),
        "spaces": b"1\n" + b" " * (1 << 26),
    }[text]
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"300001 frames with up to 32 bodies|a text of \d+ bytes"):
        read_skeleton(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 << 20


def write_ntu(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / f"{name}.skeleton").write_bytes(skeleton_text(walk(4, 25, 2, seed=number)))


def test_ntu_names_say_everything(tmp_path):
    write_ntu(tmp_path, "S003C002P007R001A013", "S018C003P041R002A061", "S001C002P005R002A008")
    (tmp_path / "S003C002P007R001A014.skeleton").write_bytes(b"3\n1\n")
    (tmp_path / "._S003C002P007R001A013.skeleton").write_bytes(b"not one")
    first, broken = list(NTU60.recordings(tmp_path))[1:]
    assert (first.label, first.subject, first.camera, first.setup, first.replication) == (12, 7, 2, 3, 1)
    assert first.bodies.shape == (4, 2, 25, 3)
    assert broken == Skipped("S003C002P007R001A014", "broken or truncated file")
    assert NTU60.recordings(tmp_path)[0] == Skipped("S001C002P005R002A008", "in the list of missing skeletons")
    assert [recording.name for recording in NTU120.recordings(tmp_path)][-1] == "S018C003P041R002A061"
    assert NTU120.recordings(tmp_path)[3].label == 60


def test_ntu_actions_count_from_1(tmp_path):
    write_ntu(tmp_path, "S003C002P007R001A000", "S003C002P007R001A001")
    odd, first = NTU60.recordings(tmp_path)
    assert odd == Skipped("S003C002P007R001A000", "no such action: they count from 1")
    assert first.label == 0


def test_missing_lists():
    actions = [int(name[-3:]) for name in missing_skeletons()]
    assert len(actions) == 535
    assert sum(action <= 60 for action in actions) == 302


def zipped(path, folder, inside=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, inside + file.name)
    return path


def test_folder_zip_and_folder_of_zips_are_the_same(tmp_path):
    folder = write_nwucla(tmp_path / "files", 8)
    zips = tmp_path / "zips"
    zips.mkdir()
    zipped(zips / "one.zip", folder, "all_sqe/")
    expected = list(NWUCLA.recordings(folder))
    for source in (zips / "one.zip", zips):
        found = list(NWUCLA.recordings(source))
        assert [recording.name for recording in found] == [recording.name for recording in expected]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.bodies, other.bodies)
    zipped(zips / "two.zip", folder)
    twice = list(NWUCLA.recordings(zips))
    assert [type(recording) for recording in twice] == [Recording, Skipped] * 8
    assert twice[1].reason == "the source holds it twice"


def test_links_are_followed_and_a_dangling_one_is_skipped(tmp_path):
    folder = write_nwucla(tmp_path / "files", 3)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "data").symlink_to(folder)
    (folder / "around").symlink_to(linked)
    assert [recording.name for recording in NWUCLA.recordings(linked)] == [r.name for r in NWUCLA.recordings(folder)]
    assert detect(linked) is NWUCLA
    (folder / "a09_s01_e00_v01.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "a09_s01_e00_v02.json")
    report = prepare(NWUCLA, linked, tmp_path / "out")
    assert (report.sequences, report.skipped) == (3, {"its bytes cannot be read": ("a09_s01_e00_v01", "a09_s01_e00_v02")})


@pytest.mark.parametrize("kind", ["npz", "pyskl", "data"])
def test_links_to_arrays_are_followed(tmp_path, kind):
    names, clips = ntu_names(12), ntu_clips(12)
    folder = tmp_path / "there"
    folder.mkdir()
    write = {
        "npz": lambda: write_npz(folder / "a.npz", clips, names, 60),
        "pyskl": lambda: write_pyskl(folder / "a.pkl", clips, names),
        "data": lambda: write_npy(folder, stacked(clips, 20), names, "data"),
    }
    write[kind]()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(folder)
    benchmark = detect(tmp_path / "here")
    assert (benchmark.name, benchmark.arrays) == ("ntu60", kind)
    assert prepare(benchmark, tmp_path / "here", tmp_path / "out").sequences == 12
    assert prepare(benchmark, tmp_path / "here", tmp_path / "out").already


def test_a_zip_cannot_write_outside(tmp_path):
    file = write_nwucla(tmp_path / "files", 1) / "a01_s01_e00_v01.json"
    inside = tmp_path / "deep" / "er"
    inside.mkdir(parents=True)
    with zipfile.ZipFile(inside / "evil.zip", "w") as archive:
        archive.write(file, "../../a01_s01_e00_v01.json")
        archive.write(file, "/tmp/a02_s01_e00_v01.json")
    before = sorted(tmp_path.rglob("*"))
    assert len([r for r in NWUCLA.recordings(inside / "evil.zip") if isinstance(r, Recording)]) == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_that_unpacks_to_more_than_any_recording_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr("skelray.data.formats.sources.LARGEST", 1 << 16)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a01_s01_e00_v01.json", " " * (1 << 20))
    loose = tmp_path / "files"
    loose.mkdir()
    (loose / "a01_s01_e00_v01.json").write_text(" " * (1 << 20))
    for source in (tmp_path / "bomb.zip", loose):
        assert NWUCLA.recordings(source)[0] == Skipped("a01_s01_e00_v01", "its bytes cannot be read")


def test_a_zip_that_understates_its_sizes_is_unpacked_no_farther(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a01_s01_e00_v01.json", b" " * (1 << 27))
    raw, info = path.read_bytes(), archive.infolist()[0]
    lie = [struct.pack("<II", info.compress_size, size) for size in (info.file_size, 1000)]
    path.write_bytes(raw.replace(*lie))
    tracemalloc.start()
    assert isinstance(NWUCLA.recordings(path)[0], Skipped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")])
def test_a_zip_that_cannot_be_unpacked_in_bounds_is_one_sentence(tmp_path, method, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a01_s01_e00_v01.json", b"{}")
    with pytest.raises(DataError, match=f"a.zip is packed by {name}, which is not read: pack it by deflate"):
        NWUCLA.recordings(tmp_path / "a.zip")


def test_a_damaged_member_is_skipped(tmp_path):
    path = zipped(tmp_path / "a.zip", write_nwucla(tmp_path / "files", 3))
    text = bytearray(path.read_bytes())
    text[200:220] = b"\x00" * 20
    path.write_bytes(text)
    found = list(NWUCLA.recordings(path))
    assert [type(recording) for recording in found] == [Skipped, Recording, Recording]
    assert found[0].reason == "its bytes cannot be read"


BROKEN = {
    **{text: text for text in ("", "{", "[]", "{}", '{"skeletons": [[1, 2]], "label": 1}', '{"skeletons": [], "label": 1}')},
    "deep": "[" * 10**5,
    "no finite label": '{"skeletons": [], "label": Infinity}',
    "a label of 400 digits": f'{{"skeletons": [], "label": {"9" * 400}}}',
    "a coordinate of 400 digits": f'{{"skeletons": [[[{"9" * 400}, 0, 0]]], "label": 1}}',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_broken_json_is_skipped(tmp_path, text):
    folder = write_nwucla(tmp_path, 2)
    (folder / "a01_s01_e00_v01.json").write_text(text)
    kinds = [type(recording) for recording in NWUCLA.recordings(folder)]
    assert kinds == [Skipped, Recording]


def test_a_zip_of_a_later_version_is_one_sentence(tmp_path):
    path = zipped(tmp_path / "a.zip", write_nwucla(tmp_path / "files", 1))
    text = bytearray(path.read_bytes())
    text[text.index(b"PK\x01\x02") + 6] = 99  # of the directory: the version needed to read the member
    path.write_bytes(text)
    with pytest.raises(DataError, match=r"a\.zip is not a readable zip \(zip file version 9\.9\)"):
        NWUCLA.recordings(path)


@pytest.mark.parametrize("benchmark", [NTU60, NTU120, NWUCLA, MSR_ACTION3D], ids=lambda benchmark: benchmark.name)
def test_a_wrong_source_is_one_sentence(benchmark, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    for source in (None, tmp_path / "absent", tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(DataError) as error:
            benchmark.recordings(source)
        assert len(str(error.value).splitlines()) == 1
        assert source is None or str(source) in str(error.value)


def test_benchmarks_are_consistent():
    for name, benchmark in BENCHMARKS.items():
        assert name == benchmark.name
        assert len(set(benchmark.classes)) == len(benchmark.classes)
        for split in benchmark.protocols.values():
            assert set(split.classes or ()) <= set(range(len(benchmark.classes)))
    counts = {name: len(benchmark.classes) for name, benchmark in BENCHMARKS.items()}
    assert (counts["ntu60"], counts["ntu120"]) == (60, 120)


def test_msr_joints_are_put_into_kinect_order(tmp_path):
    order = (
        *("shoulder_left", "shoulder_right", "spine_shoulder", "spine_mid", "hip_left", "hip_right", "spine_base"),
        *("elbow_left", "elbow_right", "wrist_left", "wrist_right", "hand_left", "hand_right"),
        *("knee_left", "knee_right", "ankle_left", "ankle_right", "foot_left", "foot_right", "head"),
    )
    lines = [f"{frame} {KINECT_V1.index(joint)} 0.5 1.0" for frame in range(3) for joint in order]
    (tmp_path / "a05_s02_e03_skeleton3D.txt").write_text("\n".join(lines))
    (tmp_path / "a13_s09_e02_skeleton3D.txt").write_text("\n".join(lines))
    (tmp_path / "a05_s03_e03_skeleton3D.txt").write_text("\n".join(lines[:-1]))
    found, broken, left_out = MSR_ACTION3D.recordings(tmp_path)
    assert (found.label, found.subject, found.replication) == (4, 2, 3)
    np.testing.assert_array_equal(found.bodies[:, 0, :, 1], np.tile(np.arange(20), (3, 1)))
    np.testing.assert_array_equal(found.bodies[:, 0, :, 0].T, np.tile(np.arange(3), (20, 1)))
    assert "literature" in left_out.reason
    assert broken.reason == "broken or truncated file"


def test_real_msr_bones_are_human(shared):
    recordings = MSR_ACTION3D.recordings(shared("data/MSRAction3DSkeletonReal3D.zip"))
    assert len(recordings) == 567
    assert sum(re.fullmatch(r"a13_s09_e0[123]", member.match[1]) is not None for member in recordings.members) == 3
    body = recordings[0].bodies[:, 0]
    lengths = {KINECT_V1.joints[a]: np.linalg.norm(body[:, a] - body[:, b], axis=-1).mean() for a, b in KINECT_V1.bones}
    assert all(0.03 < length < 0.7 for length in lengths.values()), lengths


def test_real_nwucla(shared):
    recordings = NWUCLA.recordings(shared("data/NW-UCLA.zip"))
    assert len(recordings) == 1484
    first = recordings[0]
    assert (first.name, first.label, first.subject, first.camera) == ("a01_s01_e00_v01", 0, 1, 1)
    assert first.bodies.shape[1:] == (1, 20, 3)
