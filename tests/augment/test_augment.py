"""Augmentations: a contract for every augmentation and set, and the laws of each."""

import math
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import sequences, view

from skelray.augment import (
    BA,
    EA,
    NA,
    STREAMS,
    AugmentationSet,
    AxisMask,
    Blur,
    Crop,
    CropResize,
    Draws,
    Flip,
    JointCorruption,
    Mask,
    Noise,
    OneOf,
    RandomMask,
    Rotate,
    Shear,
    SkeleAdaIN,
    TimeFlip,
    View,
    encoder_input,
    grow,
    to_stream,
)
from skelray.augment.basic import crop, linear
from skelray.augment.normal import blur, rotation
from skelray.skeleton import KINECT_V1, KINECT_V2


@dataclass(frozen=True)
class Stretch:
    """An augmentation as a study file may define it: each sequence is scaled by a factor of its own."""

    low: float = 0.5
    high: float = 1.5

    def __call__(self, view: View) -> View:
        factor = view.uniform(len(view.x), low=self.low, high=self.high)
        return view.with_x(view.x * factor[:, None, None, None, None])


ON_JOINTS = [
    Crop(),
    Crop(ratio=2),
    Shear(),
    Shear(amplitude=1.0),
    Flip(),
    Flip(mirror=True),
    Rotate(),
    Noise(),
    Blur(),
    Blur(normalise=False),
    AxisMask(),
    Stretch(),
    TimeFlip(),
    *(CropResize(frames=14, minimum=2), JointCorruption(), OneOf((JointCorruption(), Shear(amplitude=1.0)))),
]
ON_STREAMS = [RandomMask(), RandomMask(ratio=0.3, per_sample=True)]
SETS = [BA, NA, EA, Mask, BA + NA, NA + Mask]
ALL = [*ON_JOINTS, *ON_STREAMS, *SETS]
SHARED_BY_THE_BATCH = [RandomMask(), Mask]
MANY = 4000  # samples, where a distribution is looked at


def ids(things):
    return [str(thing).replace("AugmentationSet", "") for thing in things]


every = pytest.mark.parametrize("augment", ALL, ids=ids(ALL))


def joints(augmented, value=7.0):
    """What an encoder of the joint stream reads."""
    return encoder_input(augmented, "joint", torch.tensor([value], dtype=augmented.x.dtype))


# Contracts


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("skeleton", [KINECT_V1, KINECT_V2], ids=["v1", "v2"])
def test_shape_and_dtype_are_kept_and_everything_is_a_number(augment, dtype, skeleton):
    before = view(skeleton=skeleton, dtype=dtype)
    after = joints(augment(before))
    assert after.shape == before.x.shape
    assert after.dtype == dtype
    assert torch.isfinite(after).all()


@every
def test_something_changes_and_the_input_does_not(augment):
    before = view(samples=16)
    kept = before.x.clone()
    after = augment(before)
    assert torch.equal(before.x, kept)
    assert before.stream_ops == ()
    assert not torch.equal(joints(after), kept)


@every
def test_only_the_sequences_change(augment):
    before = view()
    after = augment(before)
    assert (after.skeleton, after.branch) == (before.skeleton, before.branch)
    assert after.draws is before.draws
    assert torch.equal(after.present, before.present)


@every
def test_seed_epoch_and_branch_decide_the_draws(augment):
    def drawn(seed=0, epoch=1, branch="query0"):
        return joints(augment(replace(view(samples=16), draws=Draws(seed, epoch), branch=branch)))

    assert torch.equal(drawn(), drawn())
    for other in (drawn(seed=1), drawn(epoch=2), drawn(branch="query1"), drawn(branch="key")):
        assert not torch.equal(drawn(), other)


@every
def test_a_second_application_draws_anew(augment):
    before = view(samples=16)
    assert not torch.equal(joints(augment(before)), joints(augment(before)))


@every
def test_samples_draw_independently(augment):
    """The same sequence sixteen times comes out differently; only the released mask is shared by the batch."""
    x = sequences(samples=1, absent=False).expand(16, -1, -1, -1, -1)
    out = joints(augment(view(x)))
    distinct = len({tuple(sample.flatten().tolist()) for sample in out})
    assert distinct == 1 if augment in SHARED_BY_THE_BATCH else distinct > 1


@every
def test_the_batch_behind_a_sample_does_not_matter(augment):
    """A sample's result depends on its draws, not on what the others look like."""
    x = sequences(samples=4)
    other = x.clone()
    other[1:] = other[1:] * 3 + (other[1:] != 0)
    assert torch.equal(joints(augment(view(x)))[0], joints(augment(view(other)))[0])


@every
@pytest.mark.parametrize("stream", STREAMS)
def test_absent_persons_stay_absent(augment, stream):
    before = view(samples=16)
    assert not before.present[::2, 1].any()
    for _ in range(5):
        assert (encoder_input(augment(before), stream, torch.tensor([7.0]))[::2, ..., 1] == 0).all()


@pytest.mark.parametrize("per_sample", [False, True])
def test_released_masks_make_ghosts_and_leave_present_persons_as_ours_do(per_sample):
    """One mask for all persons. It is no ghost while the learned value is zero, where it starts."""
    released = RandomMask(ratio=0.5, per_sample=per_sample, ghosts=True)(view())
    assert not released.present[0, 1]
    assert set(joints(released, value=7.0)[0, ..., 1].unique().tolist()) == {0.0, 7.0}
    assert (joints(released, value=0.0)[0, ..., 1] == 0).all()
    ours, present = RandomMask(ratio=0.5, per_sample=per_sample)(view()), released.present
    assert torch.equal(joints(ours).movedim(4, 1)[present], joints(released).movedim(4, 1)[present])


def test_the_mask_value_learns_from_present_persons_alone():
    def gradient(masked):
        value = torch.zeros(1, requires_grad=True)
        encoder_input(masked, "joint", value).sum().backward()
        return value.grad.item()

    before = view(samples=4)  # two of the eight persons are absent
    assert gradient(RandomMask(ghosts=True)(before)) == pytest.approx(gradient(RandomMask()(before)) * 8 / 6)


def test_released_noise_makes_ghosts():
    after = Noise(probability=1.0, ghosts=True)(view())
    assert (after.x[0, ..., 1] != 0).all()


COINS = [Flip, Noise, partial(Blur, low=0.5), AxisMask]  # a blur of a tenth of a frame changes no digit


@pytest.mark.parametrize("kind", COINS, ids=["Flip", "Noise", "Blur", "AxisMask"])
def test_probability_zero_is_never_and_one_always(kind):
    before = view(samples=50, absent=False)
    assert torch.equal(kind(probability=0.0)(before).x, before.x)
    changed = (kind(probability=1.0)(before).x != before.x).flatten(1).any(dim=1)
    assert changed.all()


@pytest.mark.parametrize("kind", COINS, ids=["Flip", "Noise", "Blur", "AxisMask"])
@pytest.mark.parametrize("probability", [0.2, 0.5])
def test_a_share_of_the_samples_is_changed(kind, probability):
    before = view(samples=MANY, frames=2, absent=False, persons=1)
    changed = (kind(probability=probability)(before).x != before.x).flatten(1).any(dim=1)
    assert changed.float().mean().item() == pytest.approx(probability, abs=0.04)  # five standard deviations


@every
def test_equal_settings_are_equal_and_frozen(augment):
    twin = replace(augment)
    assert twin == augment
    assert hash(twin) == hash(augment)
    with pytest.raises(AttributeError):
        augment.probability = 1.0


# Crop


@given(frames=st.integers(1, 30), ratio=st.integers(1, 8), seed=st.integers(0, 2**30))
@settings(max_examples=40, deadline=None)
def test_crop_is_a_window_of_the_mirrored_sequence(frames, ratio, seed):
    x = torch.arange(1.0, frames + 1).view(1, 1, -1, 1, 1).expand(5, 3, -1, 25, 1)
    pad = frames // ratio
    line = list(range(1, frames + 1))
    mirrored = line[:pad][::-1] + line + line[len(line) - pad :][::-1]
    windows = [mirrored[start : start + frames] for start in range(2 * pad + 1)]
    for sample in Crop(ratio)(view(x, seed=seed)).x:
        assert sample[0, :, 0, 0].tolist() in windows
        assert (sample == sample[:1, :, :1, :1]).all()  # the same frames for every joint and axis


def test_crop_starts_anywhere_with_equal_chance():
    x = torch.arange(12.0).view(1, 1, -1, 1, 1).expand(MANY, 3, -1, 25, 1)
    out = Crop(6)(view(x)).x[:, 0, :, 0, 0]
    _, counts = out.unique(dim=0, return_counts=True)
    assert len(counts) == 5
    assert counts.min() > 0.16 * MANY


def test_crop_without_padding_is_the_sequence():
    x = sequences()
    assert torch.equal(crop(x, torch.zeros(len(x), dtype=torch.int64), 0), x)


# Linear maps


def test_shear_has_a_unit_diagonal_and_spreads_over_its_range():
    x = torch.eye(3).view(1, 3, 3, 1, 1).expand(MANY, 3, 3, 25, 1)  # frame t is the unit vector t
    matrix = Shear(0.5)(view(x)).x[..., 0, 0]  # its column t is where that goes
    assert (matrix.diagonal(dim1=1, dim2=2) == 1).all()
    off = matrix[:, ~torch.eye(3, dtype=torch.bool)]
    assert off.abs().max() <= 0.5
    assert off.min() < -0.49
    assert off.max() > 0.49
    assert off.mean().abs() < 0.01
    assert off.std(dim=0).mean().item() == pytest.approx(0.5 / 3**0.5, rel=0.05)
    assert torch.corrcoef(off.T).fill_diagonal_(0).abs().max() < 0.1  # six draws, not one


@pytest.mark.parametrize("augment", [Shear(), Rotate(), Rotate(main=180, other=90)], ids=str)
@pytest.mark.parametrize("stream", STREAMS)
def test_linear_maps_commute_with_every_stream(augment, stream):
    x = sequences(dtype=torch.float64)
    first = to_stream(augment(view(x)).x, KINECT_V2, stream)
    after = augment(view(to_stream(x, KINECT_V2, stream))).x
    torch.testing.assert_close(first, after)


@pytest.mark.parametrize("augment", [Shear(), Rotate()], ids=str)
def test_linear_maps_are_linear(augment):
    x, y = sequences(seed=1, dtype=torch.float64), sequences(seed=2, dtype=torch.float64)
    together = augment(view(2 * x - 3 * y)).x
    torch.testing.assert_close(together, 2 * augment(view(x)).x - 3 * augment(view(y)).x)


def test_a_matrix_acts_on_column_vectors():
    x = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1, 1)
    matrix = torch.tensor([[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]])
    assert linear(x, matrix).flatten().tolist() == [321.0, 654.0, 987.0]


@given(st.tuples(*[st.floats(-360, 360)] * 3))
@settings(max_examples=50, deadline=None)
def test_a_rotation_keeps_lengths_angles_and_handedness(degrees):
    matrix = rotation(torch.tensor([degrees], dtype=torch.float64))[0]
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64))
    assert matrix.det().item() == pytest.approx(1)


def test_a_rotation_turns_about_x_then_y_then_z():
    """As released, clockwise as seen from the axis (methods.md, 3.1)."""
    x, y, z = torch.eye(3)
    quarter = {axis: rotation(torch.tensor([[90.0 * (axis == a) for a in "xyz"]]))[0] for axis in "xyz"}
    torch.testing.assert_close(quarter["x"] @ y, -z)
    torch.testing.assert_close(quarter["y"] @ z, -x)
    torch.testing.assert_close(quarter["z"] @ x, -y)
    every = rotation(torch.tensor([[20.0, 50.0, -70.0]]))[0]
    alone = [rotation(torch.tensor([angles]))[0] for angles in ([20.0, 0, 0], [0, 50.0, 0], [0, 0, -70.0])]
    torch.testing.assert_close(every, alone[2] @ alone[1] @ alone[0])


def test_rotate_turns_about_one_axis_and_hardly_about_the_others():
    x = torch.eye(3, dtype=torch.float64).view(1, 3, 3, 1, 1).expand(MANY, 3, 3, 25, 1)
    matrix = Rotate(main=30, other=1)(view(x)).x[..., 0, 0]
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3, dtype=torch.float64).expand(MANY, 3, 3))
    angle = ((matrix.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2).clamp(-1, 1).acos().rad2deg()
    assert angle.max() < 32
    assert angle.mean().item() == pytest.approx(15, abs=1)
    turns = torch.stack((matrix[:, 1, 2], matrix[:, 2, 0], matrix[:, 0, 1]), dim=1)  # sines, of x and z as released
    main = turns.abs().argmax(dim=1)
    assert main.bincount(minlength=3).min() > 0.29 * MANY


def test_rotate_by_nothing_is_nothing():
    before = view(dtype=torch.float64)
    torch.testing.assert_close(Rotate(main=0, other=0)(before).x, before.x)


# Flip


@pytest.mark.parametrize("skeleton", [KINECT_V1, KINECT_V2], ids=["v1", "v2"])
@pytest.mark.parametrize("mirror", [False, True])
def test_flipping_twice_is_nothing_and_once_is_the_other_side(skeleton, mirror):
    before, flip = view(skeleton=skeleton, absent=False), Flip(probability=1.0, mirror=mirror)
    once = flip(before)
    assert torch.equal(flip(once).x, before.x)
    left, right = skeleton.index("hand_left"), skeleton.index("hand_right")
    side = torch.tensor([-1.0 if mirror else 1.0, 1, 1])[:, None, None]
    assert torch.equal(once.x[:, :, :, left], before.x[:, :, :, right] * side)
    assert torch.equal(once.x[:, :, :, skeleton.centre], before.x[:, :, :, skeleton.centre] * side)


@pytest.mark.parametrize("mirror", [False, True])
def test_flip_commutes_with_bones(mirror):
    flip = Flip(probability=1.0, mirror=mirror)
    x = sequences()
    bones = to_stream(x, KINECT_V2, "bone")
    torch.testing.assert_close(to_stream(flip(view(x)).x, KINECT_V2, "bone"), flip(view(bones)).x)


# Noise and blur


def test_noise_is_normal_of_its_size():
    before = view(samples=200, dtype=torch.float64, absent=False)
    noise = Noise(std=0.03, probability=1.0)(before).x - before.x
    assert noise.std().item() == pytest.approx(0.03, rel=0.02)
    assert noise.mean().abs() < 1e-3
    assert (noise.abs() < 0.03).double().mean().item() == pytest.approx(0.683, abs=0.01)


@pytest.mark.parametrize("taps", [3, 15])
def test_normalised_blur_keeps_constants_inside_and_fades_at_the_ends(taps):
    x = torch.full((4, 3, 40, 25, 2), 2.5, dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.7, 1.3, 2.0], dtype=torch.float64)
    out = blur(x, sigma, taps, normalise=True)
    inside = slice(taps // 2, 40 - taps // 2)
    torch.testing.assert_close(out[:, :, inside], x[:, :, inside])
    assert (out[1:, :, [0, -1]] < 2.4).all()  # zeros lie beyond the ends


def test_blur_is_the_gaussian_written_out():
    x = sequences(samples=2, frames=9, dtype=torch.float64)
    sigma = [0.4, 1.5]
    out = blur(x, torch.tensor(sigma, dtype=torch.float64), 5, normalise=False)
    for n, s in enumerate(sigma):
        for t in range(9):
            near = [k for k in range(t - 2, t + 3) if 0 <= k < 9]
            weight = torch.tensor([-((k - t) ** 2) / (2 * s**2) for k in near], dtype=torch.float64).exp()
            torch.testing.assert_close(out[n, :, t], torch.einsum("k,ckvm->cvm", weight, x[n][:, near]))


def test_released_blur_scales_and_the_normalised_does_not():
    x = torch.ones(1, 3, 40, 25, 1, dtype=torch.float64)
    gain = blur(x, torch.tensor([2.0], dtype=torch.float64), 15, normalise=False)[0, 0, 20, 0, 0].item()
    assert gain == pytest.approx(5.01, abs=0.01)  # methods.md, 3.1


def test_axis_mask_drops_one_axis_whole():
    before = view(samples=300, absent=False)
    gone = (AxisMask(probability=1.0)(before).x == 0).flatten(2).all(dim=2)  # (N, 3)
    kept = (AxisMask(probability=1.0)(before).x == before.x).flatten(2).all(dim=2)
    assert (gone.sum(dim=1) == 1).all()
    assert gone.sum(dim=0).min() > 60
    assert (kept.sum(dim=1) == 2).all()


# Random Mask


@given(
    ratio=st.floats(0, 1),
    per_sample=st.booleans(),
    skeleton=st.sampled_from([KINECT_V1, KINECT_V2]),
    seed=st.integers(0),
)
@settings(max_examples=40, deadline=None)
def test_an_exact_number_of_joints_is_masked_in_every_frame(ratio, per_sample, skeleton, seed):
    before = view(skeleton=skeleton, samples=3, seed=seed % 2**31, absent=False)
    masked = joints(RandomMask(ratio, per_sample)(before), value=99.0) == 99.0
    count = int(len(skeleton.joints) * ratio)
    assert (masked.any(dim=1).any(dim=3).sum(dim=2) == count).all()
    assert (masked == masked[:, :1, :, :, :1]).all()  # all channels and persons alike


def test_masked_joints_differ_between_frames_and_are_fair():
    before = view(samples=1, frames=MANY)
    masked = joints(RandomMask(0.1)(before), value=99.0)[0, 0, :, :, 0] == 99.0  # (T, V)
    share = masked.float().mean(dim=0)
    assert (share - 2 / 25).abs().max() < 0.03
    assert not (masked[1:] == masked[:-1]).all()


@pytest.mark.parametrize("stream", STREAMS)
def test_a_mask_acts_on_the_stream(stream):
    masked = RandomMask(0.2)(view(absent=False))
    out = encoder_input(masked, stream, torch.tensor([5.0]))
    plain = to_stream(masked.x, KINECT_V2, stream)
    assert torch.equal(out[out != 5.0], plain[out != 5.0])
    assert (out == 5.0).float().mean().item() == pytest.approx(0.2)


def test_two_masks_add_up():
    once, twice = Mask(view()), Mask(Mask(view()))
    counts = [(joints(v, value=99.0)[0, 0, :, :, 0] == 99.0).sum(dim=1) for v in (once, twice)]
    assert (counts[0] == 2).all()
    assert (counts[1] >= 2).all()
    assert (counts[1] > 2).any()


# Streams


def test_bone_and_motion_by_hand():
    x = sequences(samples=2, frames=5)
    bone, motion = to_stream(x, KINECT_V2, "bone"), to_stream(x, KINECT_V2, "motion")
    elbow, shoulder = KINECT_V2.index("elbow_left"), KINECT_V2.index("shoulder_left")
    assert torch.equal(bone[:, :, :, elbow], x[:, :, :, elbow] - x[:, :, :, shoulder])
    assert (bone[:, :, :, KINECT_V2.centre] == 0).all()
    assert torch.equal(motion[:, :, 3], x[:, :, 4] - x[:, :, 3])
    assert (motion[:, :, 4] == 0).all()


def test_an_unknown_stream_names_the_choices():
    with pytest.raises(ValueError, match="'velocity' is none of joint, bone, motion"):
        to_stream(sequences(), KINECT_V2, "velocity")


# Sets and arrangements


def test_a_set_applies_its_augmentations_in_order():
    @dataclass(frozen=True)
    class Add:
        amount: float

        def __call__(self, view):
            return view.with_x(view.x * 10 + self.amount)

    one_two = AugmentationSet("A", (Add(1.0),)) + AugmentationSet("B", (Add(2.0),))
    assert one_two.name == str(one_two) == "A+B"
    assert (one_two(view(torch.zeros(1, 3, 2, 25, 1))).x == 12).all()


def test_adding_sets_is_applying_one_after_the_other():
    together, apart = (BA + NA + Mask)(view()), Mask(NA(BA(view())))
    assert torch.equal(joints(together), joints(apart))
    assert (BA + NA) + Mask == AugmentationSet("BA+NA+Mask", (*BA.augmentations, *NA.augmentations, *Mask.augmentations))


@pytest.mark.parametrize(
    "arrangement",
    [(BA, NA, Mask), (NA, BA, Mask), (Mask, BA, NA), (BA + NA, Mask), (BA, NA + Mask), (BA,), (BA, NA, Mask, Mask)],
    ids=lambda arrangement: ", ".join(map(str, arrangement)),
)
def test_branch_i_applies_the_sets_up_to_i_drawn_anew(arrangement):
    views = grow(arrangement, view(samples=16))
    assert len(views) == len(arrangement)
    for i, grown in enumerate(views):
        alone = view(samples=16).on(f"query{i}")
        for entering in arrangement[: i + 1]:
            alone = entering(alone)
        assert grown.branch == f"query{i}"
        assert torch.equal(joints(grown), joints(alone))
        masks = sum(entering.name.count("Mask") for entering in arrangement[: i + 1])
        assert len(grown.stream_ops) == masks


def test_branches_share_no_draws():
    """Twice the same set: were the draws shared, the second branch would hold the first's result with BA on top."""
    x = torch.arange(60.0).view(1, 1, -1, 1, 1).expand(16, 3, -1, 25, 1)
    shear_only = AugmentationSet("S", (Shear(),))
    none = AugmentationSet("none", ())
    first, second = grow((shear_only, none), view(x))
    assert not torch.equal(first.x, second.x)


def test_arms_share_the_draws_of_what_they_have_in_common():
    """Seeds are paired: branch 0 of [BA, NA, Mask] and of [BA, NA+Mask] see the same numbers."""
    one, other = grow((BA, NA, Mask), view()), grow((BA, NA + Mask), view())
    assert torch.equal(one[0].x, other[0].x)
    assert torch.equal(one[1].x, other[1].x)


def test_draws_do_not_touch_the_global_generator():
    before = torch.random.get_rng_state()
    (BA + NA + Mask)(view())
    assert torch.equal(torch.random.get_rng_state(), before)


@given(st.integers(0, 2**40), st.integers(0, 10**6), st.text(max_size=8))
@settings(max_examples=50, deadline=None)
def test_a_name_draws_the_same_numbers_whenever_it_is_asked(seed, epoch, name):
    alone = torch.rand(3, generator=Draws(seed, epoch)[name])
    among = Draws(seed, epoch)
    torch.rand(5, generator=among["other" + name])
    assert torch.equal(torch.rand(3, generator=among[name]), alone)


def test_a_view_knows_who_is_there():
    x = sequences(samples=3, absent=False)
    x[0, ..., 1] = 0
    x[1] = 0
    x[2, :, :, :, 1] = 0
    x[2, 2, 13, 24, 1] = 1e-6
    assert view(x).present.tolist() == [[True, False], [False, False], [True, True]]


@pytest.mark.parametrize("augment", [Noise(probability=1.0), Blur(probability=1.0), RandomMask(), SkeleAdaIN()], ids=str)
def test_a_person_there_for_part_of_a_clip_is_present_in_all_of_it(augment):
    x = sequences(absent=False)
    x[:, :, 7:, :, 1] = 0
    assert joints(augment(view(x)))[:, :, 7:, :, 1].any()


# What is wrong is said where it is given


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Crop(ratio=0), "Crop ratio 0: a whole number, at least 1"),
        (lambda: Crop(ratio=1.5), "Crop ratio 1.5"),
        (lambda: Shear(math.nan), "Shear amplitude nan: a number, at least 0"),
        (lambda: Rotate(main=math.inf), "Rotate main inf: a number"),
        (lambda: Rotate(other=math.nan), "Rotate other nan: a number"),
        (lambda: Noise(std=math.inf), "Noise std inf"),
        (lambda: Blur(taps=1.5), "Blur taps 1.5"),
        (lambda: RandomMask(ratio=1.5), "ratio 1.5"),
        (lambda: RandomMask(ratio=-0.1), "ratio -0.1"),
        (lambda: Blur(low=0.0), "from 0.0 to 2.0"),
        (lambda: Blur(low=3.0), "from 3.0 to 2.0"),
        (lambda: Blur(high=math.nan), "nan"),
        (lambda: Blur(taps=4), "taps 4"),
        (lambda: Noise(std=-1), "std -1"),
        *[(partial(kind, probability=1.2), "probability 1.2") for kind in (Flip, Noise, Blur, AxisMask)],
    ],
)
def test_a_setting_out_of_range_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
