"""PKU-MMD, UTKinect, Florence 3D and Kinetics-skeleton: what their readers make of the traps that the real files hold."""

import json
import re
import shutil
import struct
import sys
import zipfile
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_archives import (
    ACTIONS,
    florence_clips,
    kinetics_clip,
    kinetics_person,
    pku_video,
    rows,
    write_florence,
    write_florence_mat,
    write_kinetics,
    write_pku,
    write_utkinect,
)

from skelray.data import (
    FLORENCE3D,
    KINETICS,
    PKU_MMD1,
    PKU_MMD2,
    UTKINECT,
    DataError,
    Preprocessing,
    Recording,
    Skipped,
    load_splits,
    open_dataset,
    prepare,
)
from skelray.data.detect import detect
from skelray.data.formats.instances import Instances
from skelray.data.formats.kinetics import read_frames
from skelray.data.formats.pku_mmd import pku_mmd
from skelray.data.formats.text import parse_matrix, plain_numbers
from skelray.skeleton import COCO, FLORENCE, OPENPOSE

WRITERS = {
    "pku_mmd1": (PKU_MMD1, write_pku),
    "pku_mmd2": (PKU_MMD2, lambda folder: write_pku(folder, 2)),
    "utkinect": (UTKINECT, write_utkinect),
    "florence3d": (FLORENCE3D, write_florence),
    "kinetics": (KINETICS, write_kinetics),
}
every = pytest.mark.parametrize("name", WRITERS)


@every
def test_every_format_is_prepared_and_divided(name, tmp_path):
    benchmark, write = WRITERS[name]
    preprocessing = Preprocessing("plain" if name == "kinetics" else "centred", 12)
    report = prepare(benchmark, write(tmp_path / "raw"), tmp_path, preprocessing)
    assert report.sequences >= 10
    for protocol in benchmark.protocols:
        splits = load_splits(tmp_path, name, protocol)
        held_out, test = set(splits.held_out.rows), set(splits.test.rows)
        assert held_out < set(splits.train.rows)
        assert not test & set(splits.train.rows)
        assert len(test) + len(splits.train) == report.sequences
        assert len(splits.reduced)


@every
def test_a_source_of_another_kind_is_one_sentence(name, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    for source in (None, tmp_path / "absent", tmp_path):
        with pytest.raises(DataError) as error:
            WRITERS[name][0].recordings(source)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("skeleton", [FLORENCE, COCO, OPENPOSE], ids=lambda skeleton: skeleton.name)
def test_mirror_pairs_and_parts_follow_the_names(skeleton):
    names = skeleton.joints
    assert {(names[a], names[b]) for a, b in skeleton.mirror} == {
        (name, name.replace("_left", "_right")) for name in names if name.endswith("_left")
    }
    for side in ("left", "right"):
        for part, joints in skeleton.parts:
            if part.endswith(side):
                assert all(names[joint].endswith(side) for joint in joints)
    assert {frozenset(map(skeleton.mirrored.__getitem__, bone)) for bone in skeleton.bones} == set(
        map(frozenset, skeleton.bones)
    )


# PKU-MMD ------------------------------------------------------------------------------------------------------------


def test_pku_actions_are_cut_where_their_labels_say(tmp_path):
    found = list(PKU_MMD1.recordings(write_pku(tmp_path)))
    assert len(found) == 5 * len(ACTIONS) + 1
    first = found[: len(ACTIONS)]
    whole = pku_video()
    for number, (recording, (label, start, end, _)) in enumerate(zip(first, ACTIONS, strict=True), start=1):
        assert recording.name == f"0002-L_{number:03}"
        assert (recording.label, recording.subject, recording.camera, recording.setup) == (label - 1, -1, 1, 2)
        np.testing.assert_allclose(recording.bodies, whole[start - 1 : end], atol=1e-6)
        assert recording.bodies[0, 0, 0, 0] == start
    assert [recording.part for recording in found] == [0] * 9 + [1] * 7
    assert [recording.camera for recording in found] == [1] * 3 + [2] * 3 + [3] * 3 + [1] * 3 + [2] * 3 + [3]
    assert not found[0].bodies[:, 1].any()  # the other one has not come yet
    assert found[2].bodies[:, 1].any()


@pytest.mark.parametrize(("skeletons", "labels"), [("Skeleton", "Label"), ("skel", "a"), ("PKUMMD/skeleton", "lab")])
def test_pku_labels_may_lie_before_their_skeletons(tmp_path, skeletons, labels):
    """Both files of a video have one name; which of the two folders comes first does not matter."""
    found = list(PKU_MMD1.recordings(write_pku(tmp_path / "a", skeletons=skeletons, labels=labels)))
    expected = list(PKU_MMD1.recordings(write_pku(tmp_path / "b")))
    assert [recording.name for recording in found] == [recording.name for recording in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.bodies, other.bodies)


def test_pku_prepared_before_its_split_file_changed_is_prepared_again(tmp_path):
    folder = write_pku(tmp_path / "raw")
    prepare(PKU_MMD1, folder, tmp_path)
    assert prepare(PKU_MMD1, folder, tmp_path).already
    before = len(load_splits(tmp_path, "pku_mmd1", "xsub").test)
    split = folder / "cross-subject.txt"
    split.write_text(split.read_text().replace("0002-R", "").replace("0363-L", "0002-R, 0363-L"))
    assert not prepare(PKU_MMD1, folder, tmp_path).already
    assert len(load_splits(tmp_path, "pku_mmd1", "xsub").test) == before + len(ACTIONS)


def test_kinetics_prepared_before_its_label_file_changed_is_prepared_again(tmp_path):
    folder = write_kinetics(tmp_path / "raw")
    label_file = folder / "kinetics_train_label.json"
    before = prepare(KINETICS, folder, tmp_path).sequences
    assert prepare(KINETICS, folder, tmp_path).already
    known = json.loads(label_file.read_text())
    label_file.write_text(json.dumps({name: {**said, "has_skeleton": False} for name, said in known.items()}))
    again = prepare(KINETICS, folder, tmp_path)
    assert (again.already, again.sequences) == (False, before - 5)  # the sixth was left out before


def test_a_second_copy_of_a_long_recording_costs_no_action(tmp_path):
    one = list(UTKINECT.recordings(write_utkinect(tmp_path / "a", 1)))
    shutil.copytree(tmp_path / "a", tmp_path / "a" / "again")
    assert [recording.name for recording in UTKINECT.recordings(tmp_path / "a")] == [recording.name for recording in one]
    assert all(isinstance(recording, Recording) for recording in UTKINECT.recordings(tmp_path / "a"))


def test_pku_frames_may_count_from_0(tmp_path):
    folder = write_pku(tmp_path / "raw")
    one, other = (list(pku_mmd(1, first_frame=first).recordings(folder)) for first in (1, 0))
    assert [len(recording.bodies) for recording in one[:2]] == [5, 5]
    assert [len(recording.bodies) for recording in other[:2]] == [4, 4]
    assert other[2] == Skipped("0002-L_003", "its frames lie outside the recording")  # [10:10]
    np.testing.assert_array_equal(one[0].bodies[1:], other[0].bodies)
    assert not prepare(PKU_MMD1, folder, tmp_path).already
    assert prepare(PKU_MMD1, folder, tmp_path).already
    assert not prepare(pku_mmd(1, first_frame=0), folder, tmp_path).already
    with pytest.raises(ValueError, match="frames count from 0 or 1"):
        pku_mmd(1, first_frame=2)


def test_pku_part_2_names_subjects(tmp_path):
    found = list(PKU_MMD2.recordings(write_pku(tmp_path, 2)))
    assert [(recording.subject, recording.setup, recording.part) for recording in (found[0], found[-1])] == [
        (1, 1, 0),
        (13, 1, 1),
    ]
    assert found[-1].name == "A01N13-R_001"


def test_pku_texts_are_told_apart_by_what_they_hold(tmp_path):
    expected = [recording.name for recording in PKU_MMD1.recordings(write_pku(tmp_path / "a"))]
    found = list(PKU_MMD1.recordings(write_pku(tmp_path / "b", skeletons="one", labels="two")))
    assert [recording.name for recording in found] == expected
    assert all(isinstance(recording, Recording) for recording in found)


def test_pku_odd_annotations_are_skipped_each_with_its_reason(tmp_path):
    folder = write_pku(tmp_path)
    video = pku_video()
    video[3:5] = 0
    (folder / "PKU_Skeleton_Renew" / "0002-L.txt").write_text(rows(video.reshape(-1, 150)))
    lines = ["1,4,5,1", "1,40,50,1", "1,9,3,1", "52,1,3,1", "0,1,3,1", "", "one,1,3", "1,1"]
    lines += ["7.0,10,99,1", "1,0,4,1", "1,nan,inf"]
    (folder / "Train_Label_PKU_final" / "0002-L.txt").write_text("\n".join(lines))
    found = list(PKU_MMD1.recordings(folder))[:10]
    assert [getattr(recording, "reason", "kept") for recording in found] == [
        "all of it is zero",
        "its frames lie outside the recording",
        "its label ends before it starts",
        "its label is none of 1 to 51",
        "its label is none of 1 to 51",
        "broken line in its label file",
        "broken line in its label file",
        "kept",
        "its label starts before the video",
        "broken line in its label file",
    ]
    assert len(found[7].bodies) == 3  # what there is of it
    assert found[7].name == "0002-L_008"


def test_pku_files_without_their_other_half_are_skipped(tmp_path):
    folder = write_pku(tmp_path)
    (folder / "Train_Label_PKU_final" / "0002-M.txt").unlink()
    (folder / "PKU_Skeleton_Renew" / "0363-M.txt").unlink()
    (folder / "Train_Label_PKU_final" / "0363-L.txt").write_text("")
    (folder / "PKU_Skeleton_Renew" / "0002-R.txt").write_text("1 2 3")
    skipped = {one.name: one.reason for one in PKU_MMD1.recordings(folder) if isinstance(one, Skipped)}
    assert skipped == {
        "0002-M": "there is no label file for it",
        "0363-M": "there is no skeleton file for its labels",
        "0363-L": "its label file names no action",
        **dict.fromkeys(("0002-R_001", "0002-R_002", "0002-R_003"), "broken or truncated file"),
    }


def test_pku_needs_its_split_file(tmp_path):
    folder = write_pku(tmp_path)
    text = (folder / "cross-view.txt").read_text()
    (folder / "cross-view.txt").write_text(text.replace("-M", "-L"))
    with pytest.raises(DataError, match=r"trains on cameras \(3,\), not on \(2, 3\)"):
        PKU_MMD1.recordings(folder)
    (folder / "cross-view.txt").unlink()
    (folder / "cross-subject.txt").write_text("a\n0002-L\nb\n0002-M\nc\n0002-R\n")
    with pytest.raises(DataError, match="more than two headers"):
        PKU_MMD1.recordings(folder)
    (folder / "cross-subject.txt").unlink()
    with pytest.raises(DataError, match=r"lacks cross-subject\.txt, which alone says which videos of part 1 train"):
        PKU_MMD1.recordings(folder)


def test_a_pku_video_in_neither_list_is_in_neither_part(tmp_path):
    folder = write_pku(tmp_path / "raw")
    text = (folder / "cross-subject.txt").read_text()
    (folder / "cross-subject.txt").write_text(text.replace("0363-L, ", ""))
    prepare(PKU_MMD1, folder, tmp_path)
    splits = load_splits(tmp_path, "pku_mmd1", "xsub")
    assert (len(splits.train), len(splits.test)) == (9, 4)
    assert len(load_splits(tmp_path, "pku_mmd1", "xview").test) == 6


def test_a_long_file_is_read_once_and_a_slice_goes_on_in_its_middle(tmp_path):
    recordings = PKU_MMD1.recordings(write_pku(tmp_path))
    assert isinstance(recordings, Instances)
    read = []
    counted = Instances(recordings.items, lambda m: read.append(m.path) or recordings.read(m), recordings.cut)
    names = [recording.name for recording in counted]
    assert len(read) == len(set(read)) == 6
    assert [recording.name for recording in recordings[4:7]] == names[4:7]


# UTKinect -----------------------------------------------------------------------------------------------------------


def test_utkinect_has_199_clips(tmp_path):
    found = list(UTKINECT.recordings(write_utkinect(tmp_path)))
    kept = [recording for recording in found if isinstance(recording, Recording)]
    assert (len(found), len(kept)) == (200, 199)
    assert [one for one in found if isinstance(one, Skipped)] == [
        Skipped("s10_e02_carry", "the label file gives no frames of it")
    ]
    assert Counter(recording.label for recording in kept)[4] == 19
    assert {(recording.subject, recording.replication) for recording in kept} == {
        (subject, episode) for subject in range(1, 11) for episode in (1, 2)
    }
    for recording in kept[:20]:
        numbers = recording.bodies[:, 0, 0, 0] * 100
        assert recording.bodies.shape == (11, 1, 20, 3)  # twelve lines, one number twice
        assert (np.diff(numbers) > 0).all()
    assert np.diff(kept[3].bodies[:, 0, 0, 0] * 100).max() == pytest.approx(42, abs=0.01)  # a gap is no frame


def test_utkinect_wrong_rows_are_skipped_without_the_corrected_file(tmp_path):
    folder = write_utkinect(tmp_path, 1)
    assert isinstance(UTKINECT.recordings(folder)[0], Recording)
    (folder / "actionLabel_modified.txt").unlink()
    assert UTKINECT.recordings(folder)[0] == Skipped("s01_e01_walk", "its label ends before it starts")
    (folder / "actionLabel.txt").write_text("s01_e01\nwalk: 100 120\nfly: 1 2\nwalk 3\npull: 9000 9100\ns07_e01\npush: 1 2")
    reasons = {one.name: getattr(one, "reason", "kept") for one in UTKINECT.recordings(folder)}
    assert reasons == {
        "s01_e01_walk": "kept",
        "s01_e01_fly: 1 2": "broken line in the label file",
        "s01_e01_walk 3": "broken line in the label file",
        "s01_e01_pull": "its frames lie outside the recording",
        "s01_e02": "the label file does not name it",
        "s07_e01": "there is no skeleton file for its labels",
    }
    (folder / "actionLabel.txt").unlink()
    with pytest.raises(DataError, match=r"holds no actionLabel\.txt or actionLabel_modified\.txt"):
        UTKINECT.recordings(folder)


# Florence 3D --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_florence, write_florence_mat])
def test_florence_text_and_mat_give_the_same_clips(tmp_path, write):
    found = FLORENCE3D.recordings(write(tmp_path))
    assert [recording.name for recording in found][:2] == ["video001", "video002"]
    for recording, (actor, category, joints) in zip(found, florence_clips(), strict=True):
        assert (recording.subject, recording.label) == (actor, category - 1)
        np.testing.assert_allclose(recording.bodies[:, 0], joints, atol=1e-5)


def test_florence_protocols(tmp_path):
    prepare(FLORENCE3D, write_florence(tmp_path / "raw", 215), tmp_path)
    assert set(load_splits(tmp_path, "florence3d", "xsub").test.samples["subject"]) == {6, 7, 8, 9, 10}
    tests = [load_splits(tmp_path, "florence3d", f"loao{left}").test for left in range(1, 11)]
    assert [set(test.samples["subject"]) for test in tests] == [{left} for left in range(1, 11)]
    assert sum(map(len, tests)) == 215


def test_florence_odd_lines(tmp_path):
    path = write_florence(tmp_path, 4) / "Florence_dataset_WorldCoordinates.txt"
    table = parse_matrix(path.read_bytes(), 48)
    starts = [int(np.flatnonzero(table[:, 0] == video)[0]) for video in (1, 2, 3)]
    table[starts[0], 1] = 9
    table[table[:, 0] == 2, 2] = 10
    table[starts[2], 5] = 1e300
    path.write_text(rows(table))
    found = FLORENCE3D.recordings(tmp_path)
    assert found[0].reason == "its lines name several actors or categories"
    assert found[1].reason == "its actor is none of 1 to 10 or its category none of 1 to 9"
    assert np.isinf(found[2].bodies).any()  # preparing leaves it out
    path.write_text("1 2 3")
    with pytest.raises(DataError, match="does not hold lines of 3 numbers and 45 coordinates"):
        FLORENCE3D.recordings(tmp_path)
    path.write_text(" ".join(["nan"] * 48))
    with pytest.raises(DataError, match="is no number"):
        FLORENCE3D.recordings(tmp_path)


def test_a_broken_mat_is_one_sentence(tmp_path, monkeypatch):
    path = write_florence_mat(tmp_path, 3) / "florence3d.mat"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(DataError, match=r"is no \.mat file of version 7\.2 or before"):
        FLORENCE3D.recordings(tmp_path)
    from scipy.io import savemat

    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(DataError, match="holds no cell of structs with original_skeletal_data, subject, action"):
        FLORENCE3D.recordings(tmp_path)
    path.write_bytes(whole)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(DataError, match="pip install scipy"):
        FLORENCE3D.recordings(tmp_path)


# Kinetics-skeleton --------------------------------------------------------------------------------------------------


def test_kinetics_keeps_the_two_surest_people(tmp_path):
    found = [one for one in KINETICS.recordings(write_kinetics(tmp_path)) if isinstance(one, Recording)]
    assert [recording.part for recording in found] == [0] * 5 + [1] * 5
    assert [recording.label for recording in found] == [0, 1, 2, 0, 2] * 2
    first = found[0].bodies
    assert first.shape == (6, 2, 18, 3)
    assert not first[2].any()  # frame number 3 has no one
    seed = len("train") + 10 * 1
    for at, (offset, score) in enumerate(((2, 0.6), (0, 0.4))):
        expected = np.column_stack([np.reshape(kinetics_person(seed + offset, score)["pose"], (18, 2)) - 0.5, [score] * 18])
        expected[3] = 0  # a point that was not seen
        np.testing.assert_allclose(first[0, at], expected, atol=1e-6)


def test_kinetics_frame_numbers():
    clip = kinetics_clip(0, 300)["data"]
    assert len(read_frames(clip)) == 300  # as an index from 0 the last one would not fit
    assert len(read_frames([{**frame, "frame_index": frame["frame_index"] - 1} for frame in clip])) == 300
    late = read_frames([{**clip[0], "frame_index": 9}])
    assert late.shape[0] == 9
    assert not late[:8].any()
    for number in (10**9, -1, "1", None, 2.5):
        with pytest.raises((ValueError, TypeError)):
            read_frames([{**clip[0], "frame_index": number}])


def test_kinetics_knows_its_parts_by_flat_zips_and_from_inside_a_folder(tmp_path, monkeypatch):
    folder = write_kinetics(tmp_path / "raw")
    zips = tmp_path / "zips"
    zips.mkdir()
    for part in ("kinetics_train", "kinetics_val"):
        with zipfile.ZipFile(zips / f"{part}.zip", "w") as archive:
            for file in (folder / part).iterdir():
                archive.write(file, file.name)
        shutil.copy(folder / f"{part}_label.json", zips)
    assert {one.name: one.part for one in KINETICS.recordings(zips) if isinstance(one, Recording)} == {
        one.name: one.part for one in KINETICS.recordings(folder) if isinstance(one, Recording)
    }
    monkeypatch.chdir(folder / "kinetics_val")
    assert {one.part for one in KINETICS.recordings(Path()) if isinstance(one, Recording)} == {1}


def test_kinetics_says_what_is_wrong_with_a_clip(tmp_path):
    folder = write_kinetics(tmp_path, 5)
    inside = folder / "kinetics_train"
    (inside / "-train_00000.json").write_text(json.dumps({"data": [], "label": "abseiling", "label_index": 0}))
    (inside / "-train_00001.json").write_text(json.dumps(kinetics_clip(2)))
    (inside / "-train_00002.json").write_text(json.dumps({**kinetics_clip(2), "data": [{"frame_index": 1}]}))
    reasons = [getattr(one, "reason", "kept") for one in KINETICS.recordings(folder)][:5]
    assert reasons == [
        "no skeleton in it",
        "its label is another one in the label file",
        "broken or truncated file",
        "kept",
        "the label file says that it has no skeleton",
    ]
    (folder / "kinetics_val_label.json").write_text("[1]")
    with pytest.raises(DataError, match="is no label file of Kinetics-skeleton"):
        KINETICS.recordings(folder)


def test_a_folder_of_one_part_knows_which(tmp_path):
    folder = write_kinetics(tmp_path)
    assert {
        recording.part for recording in KINETICS.recordings(folder / "kinetics_val") if isinstance(recording, Recording)
    } == {1}
    (folder / "kinetics_val").rename(tmp_path / "clips")
    assert {one.part for one in KINETICS.recordings(tmp_path / "clips") if isinstance(one, Recording)} == {-1}


def test_what_lies_in_a_plane_is_not_turned(tmp_path):
    with pytest.raises(DataError, match=r"kinetics lies in the plane of an image, .*: --path plain"):
        prepare(KINETICS, write_kinetics(tmp_path / "raw"), tmp_path, Preprocessing())
    prepare(KINETICS, tmp_path / "raw", tmp_path / "unsaid")
    assert open_dataset(tmp_path / "unsaid", "kinetics").sequences.shape[2] == 50
    prepare(KINETICS, tmp_path / "raw", tmp_path, Preprocessing("plain", 6))
    first = load_splits(tmp_path, "kinetics", "official").train
    raw = next(one for one in KINETICS.recordings(tmp_path / "raw") if isinstance(one, Recording))
    np.testing.assert_array_equal(first.batch([0])[0], raw.bodies.transpose(3, 0, 2, 1))


def test_the_rigid_path_needs_joints_that_florence_lacks(tmp_path):
    with pytest.raises(ValueError, match="florence3d has no joint spine_base"):
        prepare(FLORENCE3D, write_florence(tmp_path / "raw"), tmp_path, Preprocessing("rigid", 20))


# Damage of any kind -------------------------------------------------------------------------------------------------

fuzz = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BYTES = [*b"0123456789,.:-+eE \n\t\x00\xff", *b'{}[]"na']
damage = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(BYTES)), max_size=8)


def packed(folder: Path, into: Path, bad: str, method: int) -> Path:
    """A zip of a folder in which the bytes of every file whose name has ``bad`` in it are damaged."""
    with zipfile.ZipFile(into, "w", method) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())
    raw = bytearray(into.read_bytes())
    for info in archive.infolist():
        if bad in info.filename:
            names = sum(struct.unpack("<HH", raw[info.header_offset + 26 : info.header_offset + 30]))
            middle = info.header_offset + 30 + names + info.compress_size // 2
            end = middle + min(6, info.compress_size // 2)
            raw[middle:end] = bytes(byte ^ 0x5A for byte in raw[middle:end])
    into.write_bytes(raw)
    return into


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize(
    ("name", "bad", "sentence"),
    [
        ("pku_mmd1", "Label", "no usable sequence of pku_mmd1 (its label file cannot be read)"),
        ("pku_mmd1", "PKU_Skeleton", "no usable sequence of pku_mmd1 (its bytes cannot be read)"),
        ("pku_mmd1", "cross-subject", "cross-subject.txt cannot be read"),
        ("utkinect", "actionLabel_modified", "actionLabel_modified.txt cannot be read"),
        ("florence3d", "Florence", "Florence_dataset_WorldCoordinates.txt cannot be read"),
        ("kinetics", "train_label", "kinetics_train_label.json cannot be read"),
    ],
)
def test_a_damaged_zip_is_one_sentence(tmp_path, name, bad, sentence, method):
    source = packed(WRITERS[name][1](tmp_path / "raw"), tmp_path / "a.zip", bad, method)
    with pytest.raises(DataError, match=re.escape(sentence)) as error:
        prepare(detect(source, WRITERS[name][0]), source, tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_what_tells_labels_from_skeletons_may_be_damaged(tmp_path):
    """Where no folder says which they are, a look into them does: a broken one counts as a skeleton."""
    folder = write_pku(tmp_path / "raw", skeletons="a", labels="b")
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        source = packed(folder, tmp_path / f"{method}.zip", "b/0002-L", method)
        found = list(PKU_MMD1.recordings(source))
        assert Counter(map(type, found)) == {Recording: 13, Skipped: 1}


def damaged(text: bytes, changes, cut: int) -> bytes:
    text = bytearray(text)
    for at, byte in changes:
        text[at % len(text)] = byte
    return bytes(text[: max(1, len(text) - cut)])


DAMAGED = {
    "pku_mmd1": ("PKU_Skeleton_Renew/0002-L.txt", "Train_Label_PKU_final/0002-L.txt", "cross-subject.txt", "cross-view.txt"),
    "utkinect": ("joints_s01_e01.txt", "actionLabel_modified.txt"),
    "florence3d": ("Florence_dataset_WorldCoordinates.txt",),
    "kinetics": ("kinetics_train/-train_00001.json", "kinetics_train_label.json"),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folders = {}
    for name in DAMAGED:
        folder = tmp_path_factory.mktemp(name)
        folders[name] = write_utkinect(folder, 1) if name == "utkinect" else WRITERS[name][1](folder)
    return folders


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in DAMAGED.items() for file in files])
@fuzz
@given(changes=damage, cut=st.integers(0, 50))
def test_a_damaged_file_is_read_skipped_or_refused_in_a_sentence(sources, name, file, changes, cut):
    path = sources[name] / file
    whole = path.read_bytes()
    try:
        path.write_bytes(damaged(whole, changes, cut))
        with suppress(DataError):
            for one in WRITERS[name][0].recordings(sources[name]):
                assert isinstance(one, Recording | Skipped)
                if isinstance(one, Recording):
                    assert one.bodies.ndim == 4
                    assert one.bodies.dtype == np.float32
                    assert 0 <= one.label < len(WRITERS[name][0].classes)
    finally:
        path.write_bytes(whole)


@settings(fuzz, max_examples=6)  # each starts a process
@given(changes=damage, cut=st.integers(0, 300))
def test_a_damaged_mat_is_read_or_refused(tmp_path_factory, changes, cut):
    folder = tmp_path_factory.mktemp("mat")
    path = write_florence_mat(folder, 3) / "florence3d.mat"
    path.write_bytes(damaged(path.read_bytes(), changes, cut))
    with suppress(DataError):
        assert all(isinstance(one, Recording | Skipped) for one in FLORENCE3D.recordings(folder))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["frame_index", "skeleton", "pose", "score"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_a_clip_of_empty_lists_is_not_unfolded(tmp_path):
    folder = write_kinetics(tmp_path)
    (folder / "kinetics_train" / "-train_00001.json").write_text("[" + "[]," * 2**22 + "[]]")
    (one,) = (one for one in KINETICS.recordings(folder) if one.name == "-train_00001")
    assert one.reason == "broken or truncated file"


@settings(max_examples=60, deadline=None)
@given(json_values)
def test_any_json_is_read_or_refused(data):
    with suppress(ValueError, TypeError, KeyError, IndexError, ArithmeticError):
        assert read_frames(data).shape[1:] == (2, 18, 3)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text("0123456789 .e-+\n", max_size=60).map(str.encode), st.integers(1, 4))
def test_any_bytes_are_numbers_or_a_value_error(text, columns):
    with suppress(ValueError):
        table = parse_matrix(text, columns)
        assert table.shape[1] == columns
        assert table.size == len(plain_numbers(text).split())


def test_a_recording_that_is_not_finite_is_left_out(tmp_path):
    folder = write_pku(tmp_path / "raw")
    path = folder / "PKU_Skeleton_Renew" / "0002-L.txt"
    path.write_text(path.read_text().replace("2.000000", "nan", 1))
    report = prepare(replace(PKU_MMD1), folder, tmp_path)
    assert report.skipped["coordinates that are not finite"] == ("0002-L_001",)
