"""What is kept of a recording: every frame with someone in it, one place for each person, and a count of the rest."""

import json
from itertools import pairwise

import numpy as np
import pytest
from raw_files import skeleton_text, walk

from skelray.data import MSR_ACTION3D, NTU60, NWUCLA, Benchmark, DataError, Preprocessing, Recording, Split, prepare
from skelray.data.dataset import load_splits, open_dataset
from skelray.data.inspection.check import check_dataset
from skelray.data.persons import join_bodies
from skelray.data.preprocess import resample
from skelray.skeleton import KINECT_V1, Skeleton

HAND = Skeleton("hand", ("palm", "tip", "thumb"), ((1, 0), (2, 0)), (), 0, (("hand", (0, 1, 2)),))


def bodies(*spans, frames=40, apart=5.0):
    """(T, M, 20, 3): a body for each (first frame, end, person), and persons that stand far from each other."""
    people = {person: walk(frames, seed=person)[:, 0] * 0.2 + (apart * person, 0, 3) for *_, person in spans}
    clip = np.zeros((frames, len(spans), 20, 3), np.float32)
    for place, (start, end, person) in enumerate(spans):
        clip[start:end, place] = people[person][start:end]
    return clip


def own(clips, persons=2, skeleton=KINECT_V1, **also):
    recordings = [Recording(f"r{n}", clip, n % 2, subject=n % 2 + 1) for n, clip in enumerate(clips)]
    return Benchmark("own", skeleton, ("a", "b"), {"xsub": Split("subject", (1,))}, persons, lambda _: recordings, **also)


def seen(clip):
    """(T, M) where anyone is in a prepared sequence (3, T, V, M)."""
    return clip.any(axis=(0, 2))


@pytest.mark.parametrize("path", ["centred", "unturned", "plain"])
def test_a_first_person_who_comes_late_cuts_nothing(tmp_path, path):
    clip = bodies((24, 40, 0), (0, 40, 1))
    report = prepare(own([clip, clip]), None, tmp_path, Preprocessing(path, 50))
    assert (report.frames, report.cut, report.left_out, report.joined) == (80, {}, {}, {})
    prepared = seen(open_dataset(tmp_path, "own").sequences[0])
    np.testing.assert_array_equal(prepared[:, 0], np.arange(50) >= 30)
    assert prepared[:, 1].all()


@pytest.mark.parametrize("path", ["centred", "unturned", "plain", "rigid"])
@pytest.mark.parametrize("ends", [(24,), (10, 25), (1, 39)])
def test_a_person_whose_number_changes_is_one(tmp_path, path, ends):
    edges = [0, *ends, 40]
    clip = bodies(*((start, end, 0) for start, end in pairwise(edges)))
    report = prepare(own([clip, clip], persons=1), None, tmp_path, Preprocessing(path, 50))
    assert (report.cut, report.left_out) == ({}, {})
    assert report.joined == {"r0": len(ends), "r1": len(ends)}
    assert report.bodies == 2
    expected = Preprocessing(path, 50)(bodies((0, 40, 0)), KINECT_V1, 1)
    np.testing.assert_array_equal(open_dataset(tmp_path, "own").sequences[0], expected)


JOINED = {
    "three in a row": ([(0, 10, 0), (10, 20, 0), (20, 40, 0)], 2, [[0, 1, 2]]),
    "with a gap": ([(0, 10, 0), (15, 40, 0)], 2, [[0, 1]]),
    "one of two": ([(0, 40, 0), (0, 20, 1), (20, 40, 1)], 2, [[0], [1, 2]]),
    "both of two": ([(0, 20, 0), (0, 20, 1), (20, 40, 1), (20, 40, 0)], 2, [[0, 3], [1, 2]]),
    "a frame in which both numbers are there": ([(0, 21, 0), (20, 40, 0)], 2, [[0, 1]]),
    "never two at once, however far apart": ([(0, 20, 0), (20, 40, 1)], 2, [[0, 1]]),
    "two after the other where one is kept": ([(0, 20, 0), (20, 40, 1)], 1, [[0, 1]]),
    "two at once": ([(0, 40, 0), (10, 30, 1)], 1, [[0], [1]]),
    "nobody in the first place": ([(0, 0, 0), (0, 40, 1)], 1, [[1]]),
}


@pytest.mark.parametrize("case", JOINED)
def test_who_is_one(case):
    spans, persons, groups = JOINED[case]
    clip = bodies(*spans)
    found, count = join_bodies(clip, persons)
    expected = np.zeros((len(clip), len(groups), 20, 3), np.float32)
    for place, group in enumerate(groups):
        for member in reversed(group):
            there = clip[:, member].any(axis=(1, 2))
            expected[there, place] = clip[there, member]
    np.testing.assert_array_equal(found, expected)
    assert count == sum(map(len, groups)) - len(groups)


def test_numbers_that_take_turns_are_one_person():
    clip = bodies((0, 40, 0), (0, 40, 0))
    clip[::2, 0] = clip[1::2, 1] = 0
    np.testing.assert_array_equal(join_bodies(clip, 2)[0], bodies((0, 40, 0)))


def test_two_who_stand_together_are_not_guessed_apart():
    clip = bodies((0, 20, 0), (0, 20, 1), (20, 40, 0), (20, 40, 1), apart=0.05)
    found, count = join_bodies(clip, 4)
    assert count == 0
    np.testing.assert_array_equal(found, clip)


def test_what_is_left_out_is_counted_and_warned_of(tmp_path):
    two = bodies((0, 10, 0), (0, 40, 1))
    report = prepare(own([two, bodies((0, 40, 0))], persons=1), None, tmp_path)
    assert (report.cut, report.left_out) == ({"r0": 30}, {"r0": 1})
    assert "frames left out with someone in them: 30, in 1 sequences: r0" in str(report)
    assert "persons left out: 1, in 1 sequences: r0" in str(report)
    again = prepare(own([two, bodies((0, 40, 0))], persons=1), None, tmp_path)
    assert (again.already, again.cut, again.left_out) == (True, report.cut, report.left_out)
    found = check_dataset(tmp_path, "own")
    assert "WARNS  frames left out with someone in them: 1 (30 in all)\n           r0: 30 frames" in str(found)
    assert "WARNS  persons left out: 1 (1 in all)" in str(found)
    assert "nothing is wrong, 2 warnings" in str(found)
    assert not found.wrong


def test_frames_without_anyone_are_counted(tmp_path):
    clips = [bodies((3, 10, 0), (6, 30, 1)), bodies((0, 40, 0)), bodies((0, 39, 0))]
    report = prepare(own(clips), None, tmp_path)
    assert (report.vacant, report.cut) == ({"r0": 3 + 10, "r2": 1}, {})
    assert "frames without anyone: 14, in 2 sequences: r0, r2" in str(report)
    assert prepare(own(clips), None, tmp_path).vacant == report.vacant


def test_frames_outside_the_middle_of_a_long_clip_are_counted(tmp_path):
    report = prepare(own([walk(30), walk(20)], persons=1), None, tmp_path, Preprocessing("rigid", 20))
    assert report.cut == {"r0": 10}


def test_a_data_set_that_was_prepared_before_does_not_know(tmp_path):
    prepare(own([walk(12), walk(13)]), None, tmp_path)
    path = tmp_path / "own" / "dataset.json"
    about = json.loads(path.read_text())
    for key in ("cut", "left_out", "joined", "stuck"):
        del about["counts"][key]
    del about["source"]["content"]
    del about["checksum"]
    path.write_text(json.dumps(about))
    assert "was prepared before that was counted: prepare it again to know" in str(check_dataset(tmp_path, "own"))
    assert prepare(own([walk(12), walk(13)]), None, tmp_path).already


def write_ntu(folder, first, frames=30):
    """Two clips of NTU: a body that comes at a frame, and one that is there from the start."""
    folder.mkdir()
    late = [body if at >= first else body[:0] for at, body in enumerate(walk(frames, 25) * 0.1 + (0, 0, 3))]
    (folder / "S001C001P001R001A001.skeleton").write_bytes(skeleton_text(late))
    (folder / "S001C002P003R001A001.skeleton").write_bytes(skeleton_text(walk(frames, 25)))
    return folder


@pytest.mark.parametrize(("first", "cut"), [(0, 0), (8, 8), (16, 0), (20, 0), (29, 0)])
def test_a_body_that_comes_late_on_the_released_path_is_cut_and_counted_or_kept(tmp_path, first, cut):
    report = prepare(NTU60, write_ntu(tmp_path / "raw", first), tmp_path)
    assert (report.sequences, report.skipped) == (2, {})
    assert report.cut == ({"S001C001P001R001A001": cut} if cut else {})
    assert seen(open_dataset(tmp_path, "ntu60").sequences[0])[-1, 0]


def test_all_real_frames_of_msr_action3d_are_kept_and_nwucla_is_what_it_was(shared, tmp_path):
    report = prepare(MSR_ACTION3D, shared("data/MSRAction3DSkeletonReal3D.zip"), tmp_path)
    assert (report.sequences, report.cut) == (557, {})
    assert "zero frames" not in [
        finding.kind for finding in check_dataset(tmp_path, "msr_action3d").findings if finding.offenders
    ]
    report = prepare(NWUCLA, shared("data/NW-UCLA.zip"), tmp_path)
    assert report.fingerprint[:12] == "7c23b564d3c0"  # that of the numbers under results/
    assert report.cut == {"a04_s01_e01_v01": 1, "a04_s04_e02_v01": 1}


def test_nobody_is_blended_with_an_empty_place():
    clip = np.ones((4, 2, 1, 3), np.float32)
    clip[:2, 1] = 0
    here = clip.any(axis=(2, 3))
    resized = resample(clip, 10, here)
    assert set(np.unique(resized[:, 1])) == {0, 1}
    np.testing.assert_array_equal(resized[:, 1, 0, 0], np.arange(10) >= 5)
    np.testing.assert_array_equal(resized[:, 0], 1)


def hands(count=24, seed=0):
    """Two gestures of hands whose place is random."""
    rng = np.random.default_rng(seed)
    for n in range(count):
        shape = np.array([[0, 0, 0], [0, 0.1, 0], [0.05 if n % 2 else -0.05, 0, 0]])
        yield (shape[None, None] + rng.uniform(-1, 1, 3) + rng.normal(0, 0.003, (20, 1, 3, 3))).astype(np.float32)


@pytest.mark.parametrize("planar", [False, True])
def test_a_skeleton_without_shoulders_is_centred(tmp_path, planar):
    clips = list(hands())
    if planar:
        for clip in clips:
            clip[..., 2] = 0
    right = {}
    for path in (None, "plain"):
        prepare(own(clips, 1, HAND, planar=planar), None, tmp_path, path and Preprocessing(path), force=True)
        dataset = open_dataset(tmp_path, "own")
        x = dataset.batch(range(len(dataset))).reshape(len(dataset), -1)
        far = np.linalg.norm(x[:, None] - x[None], axis=2) + 1e9 * np.eye(len(x))
        right[path] = (dataset.labels[far.argmin(axis=1)] == dataset.labels).mean()
    assert right[None] == 1
    assert right["plain"] < 0.8


def test_unturned_is_centred_without_turning():
    clip = walk(30)
    sequence = Preprocessing("unturned", 30)(clip, KINECT_V1, 1)
    local = clip[:, 0] - clip[:, 0, [KINECT_V1.centre]]
    np.testing.assert_array_equal(sequence[..., 0], local.transpose(2, 0, 1))


STUCK = {
    "at 0,0,0 of its source": lambda clip, joint: clip.__setitem__((slice(None), 0, joint), 0),
    "always in the same place": lambda clip, joint: clip.__setitem__((slice(None), 0, joint), (9, 9, 9)),
    "always where spine_base is": lambda clip, joint: clip.__setitem__((slice(None), 0, joint), clip[:, 0, 0]),
}


@pytest.mark.parametrize("how", STUCK)
@pytest.mark.parametrize("joint", ["hand_left", "head", KINECT_V1.joints[KINECT_V1.centre]])
def test_a_stuck_joint_is_named(tmp_path, how, joint):
    clips = [walk(20, seed=seed) * 0.2 + (0, 0, 3) for seed in range(6)]
    clips = [clip.astype(np.float32) for clip in clips]
    for clip in clips[:4]:
        STUCK[how](clip, KINECT_V1.index(joint))
    prepare(own(clips), None, tmp_path)
    found = check_dataset(tmp_path, "own")
    assert found.wrong
    assert f"{joint}: {how} in 4 of 6 sequences, r0 the first" in str(found)
    assert len([one for finding in found.findings if finding.kind == "stuck joints" for one in finding.offenders]) == 1


def test_what_a_source_was_centred_on_is_not_stuck(tmp_path):
    rng = np.random.default_rng(0)
    still = rng.normal(0, 0.3, (1, 1, 20, 3)) + rng.normal(0, 0.005, (20, 1, 20, 3))
    for root in (0, KINECT_V1.centre):
        clip = (still - still[:, :, [root]]).astype(np.float32)
        report = prepare(own([clip, clip + np.float32(0)]), None, tmp_path, force=True)
        assert (report.frames, report.cut) == (40, {})
        assert "ok     stuck joints" in str(check_dataset(tmp_path, "own"))


@pytest.mark.parametrize("by", ["subject", "camera", "setup", "part"])
def test_what_is_unknown_is_in_neither_split(tmp_path, by):
    told = [0, 1, 2, -1, 1, -1]
    recordings = [Recording(f"r{n}", walk(12, seed=n), 0, **{by: key}) for n, key in enumerate(told)]
    mine = Benchmark("own", KINECT_V1, ("a",), {"mine": Split(by, (1,))}, 1, lambda _: recordings)
    report = prepare(mine, None, tmp_path)
    assert report.undivided == (f"mine: 2 sequences of unknown {by} are in neither part",)
    assert report.undivided[0] in str(report)
    splits = load_splits(tmp_path, "own", "mine")
    assert splits.train.samples["name"].tolist() == ["r1", "r4"]
    assert splits.test.samples["name"].tolist() == ["r0", "r2"]
    assert f"WARNS  mine: unknown {by}" in str(check_dataset(tmp_path, "own"))


def test_a_protocol_with_nobody_to_test_says_so(tmp_path):
    recordings = [Recording(f"r{n}", walk(12, seed=n), 0, subject=key) for n, key in enumerate((1, 1, -1))]
    mine = Benchmark("own", KINECT_V1, ("a",), {"xsub": Split("subject", (1,))}, 1, lambda _: recordings)
    sentence = "nobody tests: own has 2 training and 0 test samples when divided by subject, and 1 of unknown subject"
    assert sentence in str(prepare(mine, None, tmp_path))
    assert sentence in str(check_dataset(tmp_path, "own"))
    with pytest.raises(DataError, match=sentence):
        load_splits(tmp_path, "own", "xsub")


def test_unknown_subjects_are_not_held_out(tmp_path):
    told = [-1, -1, 3, 5, 7, 9]
    recordings = [Recording(f"r{n}", walk(12, seed=n), 0, subject=key, camera=1 + n // 5) for n, key in enumerate(told)]
    mine = Benchmark("own", KINECT_V1, ("a",), {"xview": Split("camera", (1,))}, 1, lambda _: recordings)
    prepare(mine, None, tmp_path)
    assert load_splits(tmp_path, "own", "xview").held_out.samples["subject"].tolist() == [7]
