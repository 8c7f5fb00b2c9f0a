"""HiCo's augmentations: the windows they take, the joints they corrupt, and one of several for each sample."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import sequences, view
from torch.nn import functional as F

from skelray.augment import (
    HICO,
    AugmentationSet,
    CentreCrop,
    CropResize,
    Draws,
    JointCorruption,
    Mask,
    OneOf,
    RandomMask,
    Shear,
    View,
    encoder_input,
)
from skelray.augment.hico import corrupt, resize, window
from skelray.data.dataset import resizing
from skelray.skeleton import KINECT_V1, KINECT_V2

MANY = 3000


def clock(samples, frames):
    """Sequences whose every coordinate is the number of its frame."""
    return torch.arange(float(frames), dtype=torch.float64).view(1, 1, -1, 1, 1).expand(samples, 3, -1, 2, 1)


def recorded(x, lengths, skeleton=KINECT_V2, seed=0):
    return View.of(x, skeleton, Draws(seed, 1), torch.as_tensor(lengths))


def ramp(start, length, frames):
    """What a window of ``clock`` becomes, written out."""
    at = (torch.arange(frames, dtype=torch.float64) + 0.5) * length / frames - 0.5
    return start + at.clamp(0, length - 1)


# Resizing


@given(st.data(), st.integers(1, 40), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_a_window_is_resized_as_torch_and_as_preparation_do(data, frames, wanted):
    starts = [data.draw(st.integers(0, frames - 1)) for _ in range(3)]
    lengths = [data.draw(st.integers(1, frames - start)) for start in starts]
    x = sequences(samples=3, frames=frames, joints=2, seed=frames, dtype=torch.float64)
    out = resize(x, torch.tensor(starts), torch.tensor(lengths), wanted)
    assert out.shape == (3, 3, wanted, 2, 2)
    for n, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        piece = x[n, :, start : start + length]  # (C, L, V, M)
        flat = piece.permute(0, 2, 3, 1).reshape(1, -1, length)
        torchs = F.interpolate(flat, size=wanted, mode="linear", align_corners=False).view(3, 2, 2, wanted)
        torch.testing.assert_close(out[n], torchs.permute(0, 3, 1, 2))
        prepared = torch.einsum("ft,ctvm->cfvm", torch.from_numpy(resizing(length, wanted)).double(), piece)
        torch.testing.assert_close(out[n], prepared, rtol=1e-5, atol=1e-5)  # its weights are in single precision


def test_a_whole_sequence_of_the_wanted_length_is_left_alone():
    x = sequences(frames=9)
    out = resize(x, torch.zeros(len(x), dtype=torch.int64), torch.full((len(x),), 9), 9)
    assert torch.equal(out, x)


@pytest.mark.parametrize(
    ("frames", "scale", "minimum", "kept"),
    [(300, 0.5, 64, 150), (300, 0.1, 64, 64), (100, 0.999, 64, 99), (50, 0.1, 64, 50), (64, 0.2, 64, 64), (7, 0.01, 1, 1)],
)
def test_how_much_a_window_keeps(frames, scale, minimum, kept):
    assert window(torch.tensor([frames]), torch.tensor([scale]), minimum).tolist() == [kept]


# Crop and resize


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**30))
@settings(max_examples=40, deadline=None)
def test_a_crop_lies_within_the_recorded_frames(lengths, minimum, frames, seed):
    before = recorded(clock(len(lengths), 30), lengths, seed=seed)
    after = CropResize(frames=frames, minimum=minimum)(before)
    assert after.lengths.tolist() == [frames] * len(lengths)
    for line, length in zip(after.x[:, 0, :, 0, 0], lengths, strict=True):
        whole = max(length, 1)
        possible = [ramp(s, k, frames) for k in range(1, whole + 1) for s in range(whole - k + 1)]
        kept = [k for k in range(1, whole + 1) for _ in range(whole - k + 1)]
        fits = [k for k, want in zip(kept, possible, strict=True) if torch.allclose(line, want, atol=1e-9)]
        assert any(k >= min(minimum, whole) for k in fits)


def test_a_crop_has_every_length_and_place_with_equal_chance():
    frames = 2000
    after = CropResize(frames=2, low=0.2, high=1.0, minimum=1)(recorded(clock(MANY, frames), [frames] * MANY))
    first, last = after.x[:, 0, 0, 0, 0], after.x[:, 0, 1, 0, 0]
    length = (last - first) * 2  # the two frames lie at a quarter and at three quarters
    share = length / frames
    assert share.min() < 0.21
    assert share.max() > 0.99
    assert share.mean().item() == pytest.approx(0.6, abs=0.02)
    assert share.std().item() == pytest.approx(0.8 / 12**0.5, rel=0.05)
    place = ((first + 0.5 - length / 4) / (frames - length))[share < 0.9]  # 0 at the first, 1 at the last possible start
    assert place.mean().item() == pytest.approx(0.5, abs=0.03)
    assert place.std().item() == pytest.approx(1 / 12**0.5, rel=0.05)


@pytest.mark.parametrize("frames", [1, 20, 50, 64])
def test_short_sequences_are_never_cropped(frames):
    x = sequences(frames=70)
    after = CropResize()(recorded(x, [frames] * len(x)))
    whole = resize(x, torch.zeros(len(x), dtype=torch.int64), torch.full((len(x),), frames), 64)
    assert torch.equal(after.x, whole)


def test_what_follows_the_recorded_frames_is_never_read():
    x = sequences(samples=8, frames=30)
    x[:, :, 20:] = torch.nan
    for augment in (CropResize(frames=10, minimum=4), CentreCrop(frames=10)):
        assert torch.isfinite(augment(recorded(x, [20] * 8)).x).all()


# Evaluated clip


@pytest.mark.parametrize(("length", "start"), [(300, 7), (80, 2), (79, 1), (40, 1), (39, 0), (1, 0)])
def test_the_evaluated_clip_is_the_middle(length, start):
    after = CentreCrop(share=0.95, frames=16)(recorded(clock(1, 300), [length]))
    torch.testing.assert_close(after.x[0, 0, :, 0, 0], ramp(start, length - 2 * start, 16))
    assert after.lengths.tolist() == [16]


def test_the_evaluated_clip_draws_nothing():
    before = view(seed=1)
    assert torch.equal(CentreCrop(frames=8)(before).x, CentreCrop(frames=8)(view(before.x, seed=2)).x)


# Joint corruption


@given(joints=st.integers(0, 25), skeleton=st.sampled_from([KINECT_V1, KINECT_V2]), seed=st.integers(0, 2**30))
@settings(max_examples=30, deadline=None)
def test_a_share_of_the_joints_is_corrupted_in_all_frames_and_persons(joints, skeleton, seed):
    before = view(skeleton=skeleton, seed=seed, absent=False)
    changed = JointCorruption(joints)(before).x != before.x
    touched = changed.any(dim=1)  # (N, T, V, M)
    assert torch.equal(touched.all(dim=(1, 3)), touched.any(dim=(1, 3)))
    assert (touched[:, 0, :, 0].sum(dim=1) == int(len(skeleton.joints) * joints / 25)).all()


def test_joints_are_corrupted_with_equal_chance_by_zeros_or_by_a_matrix():
    x = torch.eye(3).view(1, 3, 3, 1, 1).expand(MANY, 3, 3, 25, 1)  # frame t is the unit vector t
    out = JointCorruption()(view(x)).x
    zeroed = (out == 0).all(dim=2).all(dim=1)[..., 0]  # (N, V)
    changed = (out != x).flatten(1, 2).any(dim=1)[..., 0]
    assert (changed.sum(dim=1) == 15).all()
    assert (changed.float().mean(dim=0) - 0.6).abs().max() < 0.05
    by_zero = zeroed.any(dim=1)
    assert torch.equal(zeroed[by_zero], changed[by_zero])
    assert by_zero.float().mean().item() == pytest.approx(0.5, abs=0.05)
    moved, which = out[~by_zero][..., 0], changed[~by_zero].int().argmax(dim=1)
    matrix = moved[torch.arange(len(moved)), :, :, which]  # (N', 3, 3), transposed
    same = torch.where(changed[~by_zero][:, None, None], moved, matrix[..., None])
    assert torch.equal(same, matrix[..., None].expand_as(same))  # one matrix for all the joints of a sample
    assert matrix.abs().max() <= 1
    assert matrix.mean().abs() < 0.02
    assert matrix.std().item() == pytest.approx(1 / 3**0.5, rel=0.03)


def test_corrupted_coordinates_are_a_row_before_the_matrix():
    x = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1, 1).expand(1, 3, 1, 2, 1)
    matrix = torch.tensor([[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]])
    out = corrupt(x, torch.tensor([[True, False]]), torch.tensor([False]), matrix)
    assert out[0, :, 0, 0, 0].tolist() == [741.0, 852.0, 963.0]
    assert out[0, :, 0, 1, 0].tolist() == [1.0, 10.0, 100.0]


# One of several


def test_each_sample_undergoes_one_augmentation_whole():
    half, double = Scale(0.5), Scale(2.0)
    before = view(samples=MANY, frames=2, absent=False)
    ratio = (OneOf((half, double))(before).x / before.x).flatten(1)
    assert ((ratio == 0.5).all(dim=1) | (ratio == 2.0).all(dim=1)).all()
    assert (ratio[:, 0] == 2.0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    thirds = OneOf((half, double, Scale(3.0)))(before).x / before.x
    assert thirds.round(decimals=1).unique(return_counts=True)[1].min() > 0.3 * thirds.numel()


class Scale:
    """An augmentation as a study file may define it, without draws."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, view):
        return view.with_x(view.x * self.factor)


@pytest.mark.parametrize("other", [RandomMask(), CropResize(frames=7), CropResize(frames=14)], ids=str)
def test_what_concerns_the_whole_batch_cannot_be_chosen_for_a_sample(other):
    with pytest.raises(ValueError, match="OneOf cannot choose it"):
        OneOf((Shear(), other))(view())


# The set


def test_the_set_crops_then_corrupts_or_shears():
    crop, choice = HICO.augmentations
    assert (crop, choice) == (CropResize(64, 0.1, 1.0, 64), OneOf((JointCorruption(15), Shear(1.0))))
    before = recorded(sequences(samples=400, frames=80), [80] * 400)
    after = HICO(before)
    assert after.x.shape == (400, 3, 64, 25, 2)
    assert (after.x[::2, ..., 1] == 0).all()  # absent persons
    cropped = crop(replace(before, draws=Draws(0, 1)))
    kept = (after.x == cropped.x).all(dim=2).all(dim=1)[..., 0]  # (N, V)
    assert (kept.sum(dim=1)[kept.any(dim=1)] == 10).all()
    assert kept.any(dim=1).float().mean().item() == pytest.approx(0.5, abs=0.13)


def test_a_mask_comes_after_the_frames_it_is_for():
    fresh = view(frames=100)
    for before in (Mask + HICO, AugmentationSet("clip", (*Mask.augmentations, CentreCrop()))):
        with pytest.raises(ValueError, match="a mask of 100 frames does not fit 64: mask after what crops and resizes"):
            before(fresh)
    assert encoder_input((HICO + Mask)(fresh), "joint", torch.ones(1)).shape[2] == 64


def test_settings_of_the_set_are_equal_and_hashable():
    assert hash(OneOf((JointCorruption(), Shear(1.0)))) == hash(HICO.augmentations[1])
    assert type(HICO)("HiCo", (CropResize(), HICO.augmentations[1])) == HICO


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CropResize(frames=0), "CropResize frames 0"),
        (lambda: CropResize(low=0.6, high=0.5), "from 0.6 to 0.5"),
        (lambda: CropResize(high=1.5), "from 0.1 to 1.5"),
        (lambda: CropResize(minimum=0), "minimum 0"),
        (lambda: CropResize(frames=1.5), "CropResize frames 1.5: a whole number"),
        (lambda: CentreCrop(share=0.0), "share 0.0"),
        (lambda: CentreCrop(share=1.1), "share 1.1"),
        (lambda: CentreCrop(frames=0), "CentreCrop frames 0"),
        (lambda: JointCorruption(joints=26), "joints 26"),
        (lambda: JointCorruption(joints=-1), "joints -1"),
        (lambda: JointCorruption(joints=1.5), "joints 1.5: a whole number"),
        (lambda: JointCorruption(probability=2), "probability 2"),
        (lambda: OneOf(()), r"OneOf \(\)"),
    ],
)
def test_a_setting_out_of_range_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
