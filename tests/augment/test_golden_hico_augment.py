"""HiCo's augmentations and layouts against the released functions, from the parameters that these drew."""

import pytest
import torch
from golden_file import GoldenFile

from skelray.augment import CentreCrop, Draws, View, to_stream
from skelray.augment.basic import linear
from skelray.augment.hico import corrupt, resize, window
from skelray.backbones.hierarchical import space_major, time_major
from skelray.skeleton import KINECT_V2

DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


def each_case(golden, name):
    """The file, the name and the input of each case as a batch of one."""
    file = GoldenFile(golden(name))
    assert file.cases()
    return [(file, case, file[f"{case}/input"][None]) for case in file.cases()]


def check(file, actual, name):
    """Against an array in the precision it is stored in."""
    expected = file[name]
    torch.testing.assert_close(
        actual[0].to(expected.dtype), expected, **file.tolerance(expected.dtype), msg=lambda text: f"{name}: {text}"
    )


@DTYPES
def test_crop_and_resize(golden, dtype):
    for file, case, x in each_case(golden, "augment_hico_cropresize.npz"):
        recorded, start, length = (file[f"{case}/{name}"][None] for name in ("num_frame", "start", "length"))
        low, high = file.config["l_ratio"]
        scale = low + (high - low) * file[f"{case}/scale_draw"][None]
        assert torch.equal(window(recorded, scale, file.config["minimum"]), length)
        frames = file[f"{case}/output"].shape[1]
        check(file, resize(x.to(dtype), start, length, frames), f"{case}/output")


@DTYPES
def test_the_evaluated_clip_its_streams_and_layouts(golden, dtype):
    for file, case, x in each_case(golden, "augment_hico_evalcrop.npz"):
        view = View.of(x.to(dtype), KINECT_V2, Draws(0, 1), file[f"{case}/num_frame"][None])
        clip = CentreCrop(file.config["l_ratio"], file[f"{case}/output"].shape[1])(view).x
        check(file, clip, f"{case}/output")
        for stream in ("joint", "motion", "bone"):
            formed = to_stream(clip, KINECT_V2, stream)
            check(file, time_major(formed), f"{case}/{stream}_time_major")
            check(file, space_major(formed), f"{case}/{stream}_space_major")


@DTYPES
def test_joint_corruption(golden, dtype):
    for file, case, x in each_case(golden, "augment_hico_joints.npz"):
        chosen = torch.zeros(1, x.shape[3], dtype=torch.bool)
        chosen[0, file[f"{case}/joints"]] = True
        zero, matrix = file[f"{case}/zero"][None].bool(), file[f"{case}/matrix"][None].to(dtype)
        check(file, corrupt(x.to(dtype), chosen, zero, matrix), f"{case}/output")


def test_shear(golden):
    for file, case, x in each_case(golden, "augment_hico_shear.npz"):
        check(file, linear(x.double(), file[f"{case}/matrix"][None].double()), f"{case}/output")
