"""HiCo's hierarchical encoder against the released one: layouts, every level, the heads, gradients and checkpoints."""

import pytest
import torch
from golden_file import GoldenFile
from torch import nn

from skelray.backbones import GRU, LSTM, Hierarchical, Transformer
from skelray.backbones.hierarchical import space_major, time_major
from skelray.released.hierarchical import heads_from_released, hierarchical_from_released
from skelray.skeleton import KINECT_V2

FILES = pytest.mark.parametrize("name", ["hico_transformer", "hico_gru", "hico_lstm"])
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
LEVELS = ("clip", "part", "temporal", "spatial", "instance")


def backbone(file):
    """The configuration that a file states; its dropout is for training and is 0 in the gradients."""
    config = file.config
    frames, persons = file["input"].shape[2], file["input"].shape[4]
    assert config["stride"] == 1
    assert config["padding"] == config["kernel_size"] // 2
    assert (config["t_input_size"], config["s_input_size"]) == (3 * persons * len(KINECT_V2.joints), 3 * frames)
    layers = config["num_layer"]
    s2s = {
        "Transformer": Transformer(heads=config["num_head"], layers=layers, dropout=0.0),
        "GRU": GRU(layers),
        "LSTM": LSTM(layers),
    }[config["encoder"]]
    return Hierarchical(
        hidden_dim=config["hidden_size"],
        granularity=config["granularity"],
        s2s=s2s,
        kernel=config["kernel_size"],
        factor=config["factor"],
        frames=frames,
        persons=persons,
    )


def load(file, state, dtype):
    """Encoder and heads with a file's weights, and its input."""
    encoder = backbone(file).build(KINECT_V2).to(dtype)
    ours = hierarchical_from_released(state)
    if file.config["granularity"] == 1:  # released models hold a downsampling that nothing reads
        ours = {name: tensor for name, tensor in ours.items() if "downsampling" not in name}
    encoder.load_state_dict(ours)
    heads, released = nn.ModuleDict(), heads_from_released(state)
    for name in LEVELS if released else ():
        (out, hidden), inputs = released[f"{name}.2.weight"].shape, released[f"{name}.0.weight"].shape[1]
        heads[name] = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, out))
    heads.load_state_dict(released)
    return encoder, heads.to(dtype), file["input"].to(dtype)


def suffix(dtype):
    return "_f64" if dtype == torch.float64 else ""


def check_levels(file, encoder, heads, x, prefix, dtype):
    levels = encoder.levels(x)
    compared = 0
    for name in LEVELS:
        feature = getattr(levels, name)
        for quantity, value in ((name, feature), (f"{name}_head", heads[name](feature))):
            if f"{prefix}/{quantity}{suffix(dtype)}" in file:
                file.close(value, f"{prefix}/{quantity}{suffix(dtype)}", quantity)
                compared += 1
    assert compared >= 7  # clip, part and five heads


@DTYPES
@FILES
def test_levels_and_heads(golden, name, dtype):
    file = GoldenFile(golden(f"{name}.npz"))
    encoder, heads, x = load(file, file.under("state/", dtype), dtype)
    check_levels(file, encoder.eval(), heads, x, "eval", dtype)


@FILES
def test_layouts(golden, name):
    file = GoldenFile(golden(f"{name}.npz"))
    assert torch.equal(time_major(file["input"]), file["input_time_major"])
    assert torch.equal(space_major(file["input"]), file["input_space_major"])


@DTYPES
@FILES
def test_gradients(golden, name, dtype):
    file = GoldenFile(golden(f"{name}.npz"))
    encoder, heads, x = load(file, file.under("state/", dtype), dtype)
    levels = encoder.train().levels(x)
    outputs = {name: heads[name](getattr(levels, name)) for name in LEVELS}
    sum((outputs[name] * file[f"train/cotangent/{name}_head"].to(dtype)).sum() for name in LEVELS).backward()
    released = file.under(f"train/grad{suffix(dtype)}/")
    expected = {**hierarchical_from_released(released), **heads_from_released(released)}
    parameters = {**dict(encoder.named_parameters()), **dict(heads.named_parameters())}
    assert len(expected) >= 25
    limits = file.tolerance(dtype, "grad_params", gradient=True)
    for key, gradient in expected.items():
        ours = parameters[key].grad.to(gradient.dtype)
        torch.testing.assert_close(ours, gradient, **limits, msg=lambda m, k=key: f"{k}: {m}")


@DTYPES
def test_linear_models(golden, dtype):
    paths = sorted(golden(".").glob("hico_*_linear*.npz"))
    assert paths
    for path in paths:
        file = GoldenFile(path)
        state = file.under("state/", dtype)
        encoder, _, x = load(file, state, dtype)
        feature = encoder.eval().levels(x).instance
        if f"eval/feature{suffix(dtype)}" in file:
            file.close(feature, f"eval/feature{suffix(dtype)}", "feature")
        output = feature @ state["fc.weight"].T + state["fc.bias"]
        file.close(output, f"eval/output{suffix(dtype)}", "output")


@DTYPES
def test_released_checkpoints(golden, dtype):
    paths = sorted(golden("checkpoints").glob("hico_*/*.npz"))
    assert paths
    for path in paths:
        file = GoldenFile(path)
        stored = torch.load(path.with_name(file.config["file"]), map_location="cpu", weights_only=True)["state_dict"]
        for side in {name.split("/")[0] for name in file.arrays if name.startswith("encoder_")}:
            state = {n.removeprefix(f"{side}."): t.to(dtype) for n, t in stored.items() if n.startswith(f"{side}.")}
            encoder, heads, x = load(file, state, dtype)
            check_levels(file, encoder.eval(), heads, x, side, dtype)
