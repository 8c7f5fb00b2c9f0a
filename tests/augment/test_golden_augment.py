"""Augmentations and streams against the released functions, from the parameters that these drew."""

import pytest
import torch
from golden_file import GoldenFile
from tiny import view

from skelray.augment import TimeFlip, to_stream
from skelray.augment.basic import crop, linear
from skelray.augment.normal import blur, rotation
from skelray.augment.strong import ExchangeStyle, MaskJoints, add_edges, drop_edges
from skelray.skeleton import KINECT_V2


def batch(file, case):
    """The input of a case as a batch of one, in double precision."""
    return file[f"{case}/input"].double()[None]


def check(file, actual, case):
    """Against the output in the precision it is stored in."""
    expected = file[f"{case}/output"]
    limits = file.tolerance(expected.dtype)
    torch.testing.assert_close(actual[0].to(expected.dtype), expected, **limits)


def each_case(golden, name):
    file = GoldenFile(golden(name))
    assert file.cases()
    return [(file, case) for case in file.cases()]


def test_crop(golden):
    for file, case in each_case(golden, "augment_crop.npz"):
        check(file, crop(batch(file, case), file[f"{case}/start"][None], int(file[f"{case}/pad"])), case)


def test_shear(golden):
    for file, case in each_case(golden, "augment_shear.npz"):
        check(file, linear(batch(file, case), file[f"{case}/matrix"][None].double()), case)


def test_flip(golden):
    for file, case in each_case(golden, "augment_flip.npz"):
        check(file, batch(file, case)[:, :, :, list(KINECT_V2.mirrored)], case)


def test_rotate(golden):
    for file, case in each_case(golden, "augment_rotate.npz"):
        check(file, linear(batch(file, case), rotation(file[f"{case}/angles_degrees"][None])), case)


def test_blur(golden):
    for file, case in each_case(golden, "augment_blur.npz"):
        x = blur(batch(file, case), file[f"{case}/sigma"][None], file.config["taps"], normalise=False)
        check(file, x, case)


def test_the_whole_chain(golden):
    for file, case in each_case(golden, "augment_chain.npz"):
        drawn = {name.split("/")[1]: file[name] for name in file.arrays if name.startswith(f"{case}/")}
        x = crop(batch(file, case), drawn["crop_start"][None], int(drawn["crop_pad"]))
        x = linear(x, drawn["shear_matrix"][None])
        if drawn["flip"]:
            x = x[:, :, :, list(KINECT_V2.mirrored)]
        x = linear(x, rotation(drawn["rotate_angles_degrees"][None]))
        if drawn["noise_applied"]:
            x = x + drawn["noise"]
        if drawn["blur_applied"]:
            x = blur(x, drawn["blur_sigma"][None], 15, normalise=False)
        if drawn["axis_mask"] >= 0:
            x[:, int(drawn["axis_mask"])] = 0
        if drawn["time_flip_applied"]:
            x = x.flip(2)
        check(file, x, case)


def test_joint_mask_and_its_gradient(golden):
    for file, case in each_case(golden, "augment_joint_mask.npz"):
        value = file[f"{case}/value"].reshape(1).requires_grad_()
        out = MaskJoints(file[f"{case}/keep_mask"].bool()[None])(file[f"{case}/input"], value)
        file.close(out, f"{case}/output")
        (out * file[f"{case}/cotangent"]).sum().backward()
        file.close(value.grad, f"{case}/grad_value", "grad_value")


@pytest.mark.parametrize("output", ["output_f64", "output", "output_v"])
def test_exchange_of_style(golden, output):
    for file, case in each_case(golden, "augment_adain.npz"):
        expected = file[f"{case}/{output}"]
        x = file[f"{case}/input"].to(expected.dtype)
        partner = (torch.arange(len(x)) + file[f"{case}/shift"]) % len(x)
        axes = (3,) if output.endswith("_v") else (2, 3)
        actual = ExchangeStyle(partner, None, axes, file.config["eps"])(x, torch.zeros(1))
        file.close(actual, f"{case}/{output}", output)


def test_dropped_and_added_edges(golden):
    for file, case in each_case(golden, "augment_edges.npz"):
        a = file[f"{case}/adjacency" if case.startswith("gcn") else f"{case}/attention"]
        dropped = drop_edges(a, file[f"{case}/drop_keep"].bool(), file[f"{case}/drop_rate"].to(a.dtype))
        file.close(dropped, f"{case}/after_drop", "after_drop")
        file.close(
            add_edges(dropped, file[f"{case}/add_drawn"].bool()), f"{case}/after_drop_then_add", "after_drop_then_add"
        )


def test_time_flip(golden):
    for file, case in each_case(golden, "augment_time_flip.npz"):
        flipped = TimeFlip(probability=1.0)(view(batch(file, case))).x
        check(file, flipped, case)


@pytest.mark.parametrize("stream", ["bone", "motion"])
def test_streams(golden, stream):
    for file, case in each_case(golden, "streams.npz"):
        assert torch.equal(to_stream(file[f"{case}/joint"], KINECT_V2, stream), file[f"{case}/{stream}"])
