"""DSTA-Net against HiCLR's released encoder: features, outputs, gradients, batch-norm statistics and a checkpoint."""

import pytest
import row_norms
import torch
from golden_file import GoldenFile

from skelray.backbones import DSTA, cpu
from skelray.backbones.dsta import Join, Layer, position_encoding
from skelray.backbones.form import FORMS
from skelray.released.dsta import dsta_from_released
from skelray.skeleton import KINECT_V2

FILES = ("dsta_true", "dsta_small", "dsta_small_linear60")


def build(config, state, dtype, form=None):
    layers = tuple(tuple(layer) for layer in config["layers"])
    encoder = DSTA(layers=layers, subsets=config["num_subset"], dropout=0).build(KINECT_V2, form)
    encoder.to(dtype).load_state_dict(dsta_from_released(state))
    return encoder


def load(file, dtype, form):
    state = file.under("state/", dtype)
    encoder = build(file.config, state, dtype, form)
    x = file["input"].to(dtype)
    return encoder, file.head(dtype), x, torch.ones(x.shape[0], x.shape[4], dtype=torch.bool)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", FILES)
class TestReleasedEncoder:
    def test_evaluation_mode(self, golden, name, dtype, form):
        file = GoldenFile(golden(f"{name}.npz"))
        encoder, head, x, present = load(file, dtype, form)
        suffix = "_f64" if dtype == torch.float64 else ""
        feature = encoder.eval()(x, present)
        file.close(feature, f"eval/feature{suffix}", "eval_feature")
        file.close(head(feature), f"eval/output{suffix}", "eval_output")

    def test_each_layer(self, golden, name, dtype, form, monkeypatch):
        if form == "gpu":
            pytest.skip("this form has no layers that can be watched one by one; its features are held whole")
        file = GoldenFile(golden(f"{name}.npz"))
        encoder, _, x, present = load(file, dtype, form)
        means = []
        follow(monkeypatch, form, "layer", lambda y: (means.append(y.mean(dim=(2, 3))), y)[1])  # (N M, C)
        encoder.eval()(x, present)
        assert len(means) == len(encoder.layers)
        for i, mean in enumerate(means):
            expected = file[f"eval/block{i}_mean"]
            limits = file.tolerance(torch.float32, "eval_feature")  # stored in single precision only
            torch.testing.assert_close(mean.to(expected.dtype), expected, **limits, msg=lambda m, i=i: f"layer {i}: {m}")

    def test_training_mode(self, golden, name, dtype, form, monkeypatch):
        """Features, outputs, batch-norm statistics and, where the file has them, gradients."""
        file = GoldenFile(golden(f"{name}.npz"))
        encoder, head, x, present = load(file, dtype, form)
        if dtype == torch.float32:
            if form == "gpu":
                row_norms.exactly(monkeypatch)
            else:
                keep_sides(monkeypatch, form, sides(monkeypatch, file))
        suffix = "_f64" if dtype == torch.float64 else ""
        feature = encoder.train()(x.requires_grad_(), present)
        output = head(feature)
        file.close(feature, f"train/feature{suffix}", "train_feature")
        file.close(output, f"train/output{suffix}", "train_output")
        after, state = dsta_from_released(file.under("train/bn_after/")), encoder.state_dict()
        assert after
        for key, expected in after.items():
            torch.testing.assert_close(state[key].to(expected.dtype), expected, rtol=1e-4, atol=1e-5, msg=key)
        if "train/grad_input" not in file:
            return
        (output * file["train/cotangent"].to(dtype)).sum().backward()
        file.close(x.grad, f"train/grad_input{suffix}", "train_grad_input", gradient=True)
        expected = dsta_from_released(file.under(f"train/grad{suffix}/"))
        ours = {key: parameter.grad for key, parameter in encoder.named_parameters()}
        assert set(expected) <= set(ours)
        assert len(expected) >= 20
        limits = file.tolerance(dtype, "train_grad_params", gradient=True)
        for key, gradient in expected.items():
            torch.testing.assert_close(ours[key].to(gradient.dtype), gradient, **limits, msg=lambda m, k=key: f"{k}: {m}")


def follow(monkeypatch, form, part, change):
    """Lets what each layer or join gives, as (B, C, T, V), pass through ``change`` in either form."""
    if form == "plain":
        kind = {"layer": Layer, "join": Join}[part]
        forward = kind.forward
        monkeypatch.setattr(kind, "forward", lambda self, *given: change(forward(self, *given)))
    else:
        function = getattr(cpu.dsta, f"_{part}")
        axes = cpu.dsta.AXES  # there and back
        monkeypatch.setattr(cpu.dsta, f"_{part}", lambda *given: change(function(*given).permute(axes)).permute(axes))


def sides(monkeypatch, file):
    """On which side of its bend each leaky ReLU is, in double precision."""
    encoder, _, x, present = load(file, torch.float64, "plain")
    found = []
    with monkeypatch.context() as patch:
        follow(patch, "plain", "join", lambda y: (found.append(y.detach() > 0), y)[1])
        encoder.train()(x, present)
    return found


def keep_sides(monkeypatch, form, expected):
    """Puts what single precision rounds across the bend of a leaky ReLU back on its side: one in 10^5 is closer to
    zero than its rounding error, and its gradient would change tenfold. Its value changes by less than 1e-5.
    """
    wanted = iter(expected)

    def correct(y):
        side = next(wanted)
        crossed = (y.detach() > 0) != side
        assert crossed.sum() <= 3
        assert not crossed.any() or y.detach()[crossed].abs().max() < 1e-5
        return torch.where(crossed, torch.where(side, y / Join.slope, y * Join.slope), y)

    follow(monkeypatch, form, "join", correct)


@pytest.mark.parametrize("name", FILES)
def test_positions_are_the_released_buffers(golden, name):
    state = GoldenFile(golden(f"{name}.npz")).under("state/")
    buffers = [tensor for key, tensor in state.items() if key.endswith("pes.pe")]  # (1, C, T, V), the same at every T
    assert buffers
    for buffer in buffers:
        expected = buffer[0].permute(1, 2, 0)
        torch.testing.assert_close(
            position_encoding(*expected.shape[1:]).expand_as(expected), expected, rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("side", ["encoder_q", "encoder_k"])
def test_a_released_checkpoint(golden, side, dtype):
    file = GoldenFile(golden("checkpoints/hiclr_dsta_joint.npz"))
    saved = torch.load(golden(f"checkpoints/{file.config['file']}"), weights_only=True)
    state = {name.removeprefix(f"{side}."): t for name, t in saved.items() if name.startswith(f"{side}.")}
    encoder, x = build(file.config, state, dtype).eval(), file["input"].to(dtype)
    feature = encoder(x, torch.ones(len(x), x.shape[4], dtype=torch.bool))
    file.close(feature, f"{side}/feature{'_f64' if dtype == torch.float64 else ''}", side)
