"""Both preprocessings against the released ones, and what they promise on any clip."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_files import walk

from skelray.data.formats.ntu import read_skeleton
from skelray.data.preprocess import Preprocessing, centred, channels_first, fill, first_listed, most_active, resample
from skelray.skeleton import KINECT_V1, KINECT_V2


@pytest.fixture(scope="module")
def clips(golden):
    """(name in the golden file, bodies) of each text file, and the golden arrays."""
    with np.load(golden("ntu_preprocess.npz"), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    meta = json.loads(str(arrays.pop("meta")))
    longest = next(iter(arrays.values())).shape[1]
    found = {}
    for name, about in meta["config"]["files"].items():
        bodies = read_skeleton(golden(f"ntu/{name}.skeleton").read_bytes())
        assert len(bodies) == about["frames"]
        if len(bodies) <= longest:
            found[name] = bodies
        else:
            start = (len(bodies) - longest) // 2
            found[f"{name}/first{longest}"] = bodies[:longest]
            found[f"{name}/centre{longest}"] = bodies[start : start + longest]
    return found, arrays, meta["tolerance"]


def padded(clip, frames):
    array = np.zeros((frames, *clip.shape[1:]), np.float32)
    array[: len(clip)] = clip
    return array


def check(clips, kind, compute):
    found, arrays, tolerance = clips
    names = [name for name in found if f"{name}/{kind}" in arrays]
    assert names
    for name in names:
        expected = arrays[f"{name}/{kind}"]
        result = channels_first(compute(found[name], expected))
        assert result.shape == expected.shape, name
        if tolerance[kind].get("exact"):
            np.testing.assert_array_equal(result, expected, err_msg=name)
        else:
            np.testing.assert_allclose(result, expected, **tolerance[kind], err_msg=name)


def test_golden_first_two_bodies(clips):
    check(clips, "a1_300", lambda bodies, like: padded(first_listed(bodies, like.shape[3]), like.shape[1]))


def test_golden_centred(clips):
    check(clips, "a2_50", lambda bodies, like: centred(first_listed(bodies, like.shape[3]), KINECT_V2, like.shape[1]))


def test_golden_resized_motion(clips):
    def motion(bodies, like):
        clip = padded(first_listed(bodies, like.shape[3]), 1000)
        length = np.count_nonzero(clip[:, 0, 0].any(-1))
        return resample(np.diff(clip, axis=0)[:length], like.shape[1])

    found, arrays, tolerance = clips
    inside = {name: bodies for name, bodies in found.items() if "/" not in name}  # a cut clip has no next frame
    check((inside, arrays, tolerance), "a2_50_motion", motion)


def test_golden_most_active_bodies(clips):
    check(clips, "b_two_bodies", lambda bodies, like: padded(most_active(bodies, like.shape[3]), like.shape[1]))


def test_golden_rigid(clips):
    found, arrays, tolerance = clips
    for name, bodies in found.items():
        expected = arrays[f"{name}/b_300"]
        result = Preprocessing("rigid", expected.shape[1])(bodies, KINECT_V2, expected.shape[3])
        np.testing.assert_allclose(result, expected, **tolerance["b_300"], err_msg=name)


def test_golden_frame_counts(clips):
    found, arrays, _ = clips
    for name, bodies in found.items():
        assert len(bodies) == int(arrays[f"{name}/b_num_frame"])


def test_golden_rigid_keeps_the_middle_of_a_long_clip(clips, golden):
    found, arrays, tolerance = clips
    for name in (name for name in found if "/centre" in name):
        bodies = read_skeleton(golden(f"ntu/{name.split('/')[0]}.skeleton").read_bytes())
        expected = arrays[f"{name}/b_300"]
        result = Preprocessing("rigid", expected.shape[1])(bodies, KINECT_V2, expected.shape[3])
        np.testing.assert_allclose(result, expected, **tolerance["b_300"])


def turned(bodies, degrees, shift=(0.0, 0.0, 0.0)):
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return (bodies @ turn.T + np.array(shift)).astype(np.float32)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 1000))
def test_centred_puts_the_centre_at_zero_and_faces_x(length, frames, seed):
    sequence = Preprocessing(frames=frames)(walk(length, seed=seed), KINECT_V1, 1)
    assert sequence.shape == (3, frames, 20, 1)
    assert sequence.dtype == np.float32
    np.testing.assert_array_equal(sequence[:, :, KINECT_V1.centre], 0)


LEFT, RIGHT, BASE, SPINE = (
    KINECT_V1.index(joint) for joint in ("shoulder_left", "shoulder_right", "spine_base", "spine_mid")
)


def test_centred_does_not_depend_on_place_or_heading():
    bodies = walk(30)
    bodies[:, :, RIGHT] = bodies[:, :, LEFT] + (0.3, 0, 0.05)
    here = Preprocessing()(bodies, KINECT_V1, 1)
    there = Preprocessing()(turned(bodies, 60, (1, 2, 3)), KINECT_V1, 1)
    released = np.arccos(0.3 / (0.3 + 1e-4))  # how far the 1e-4 of the formula leaves a line from x
    np.testing.assert_allclose(here, there, atol=released * np.abs(here).max())
    line = here[:, :, RIGHT] - here[:, :, LEFT]
    np.testing.assert_allclose(np.arctan2(line[2], line[0]), 0, atol=1.1 * released)


def test_rigid_keeps_distances_and_undoes_a_heading():
    bodies = walk(20, bodies=2)
    bodies[:, 1] *= 2  # the most active one
    bodies[:, :, SPINE] = bodies[:, :, BASE] + (0, 0.2, 0)
    bodies[:, :, RIGHT] = bodies[:, :, LEFT] + (0.3, 0, 0.05)
    here = Preprocessing("rigid", 30)(bodies, KINECT_V1, 2)
    there = Preprocessing("rigid", 30)(turned(bodies, 75, (1, 2, 3)), KINECT_V1, 2)
    np.testing.assert_allclose(here, there, atol=1e-4)
    between = np.linalg.norm(bodies[:, 1, 3] - bodies[:, 0, 5], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(here[:, :20, 3, 0] - here[:, :20, 5, 1], axis=0), between, rtol=1e-4)
    np.testing.assert_allclose(here[:, 0, SPINE, 0] - here[:, 0, BASE, 0], (0, 0, 0.2), atol=1e-5)
    line = here[:, 0, RIGHT, 0] - here[:, 0, LEFT, 0]
    np.testing.assert_allclose(line, (np.hypot(0.3, 0.05), 0, 0), atol=1e-5)


def test_a_clip_of_its_own_length_is_not_resized():
    clip = walk(50)
    np.testing.assert_array_equal(resample(clip, 50), clip)


def test_fill_repeats_from_the_start():
    body = walk(7)[:, 0]
    np.testing.assert_array_equal(fill(body, 20), body[np.arange(20) % 7])
    gap = body.copy()
    gap[[2, 5, 6]] = 0
    np.testing.assert_array_equal(fill(gap, 12), gap[np.arange(12) % 5])
    late = body.copy()
    late[[0, 3]] = 0
    np.testing.assert_array_equal(fill(late, 9), body[[1, 2, 4, 5, 6, 1, 2, 4, 5]])


@pytest.mark.parametrize("path", ["centred", "rigid"])
@pytest.mark.parametrize("bodies", [np.zeros((9, 0, 20, 3), np.float32), np.zeros((9, 2, 20, 3), np.float32)])
def test_a_clip_without_bodies_stays_zero(path, bodies):
    sequence = Preprocessing(path, 12)(bodies, KINECT_V1, 2)
    assert sequence.shape == (3, 12, 20, 2)
    assert not sequence.any()


def test_settings_are_checked():
    with pytest.raises(ValueError, match="'centred', 'rigid' or 'plain'"):
        Preprocessing("centered")
    with pytest.raises(ValueError, match="at least one"):
        Preprocessing(frames=0)
