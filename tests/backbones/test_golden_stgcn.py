"""ST-GCN against the released encoders: features, outputs, gradients and batch-norm statistics."""

import pytest
import row_norms
import torch
from golden_file import GoldenFile

from skelray.backbones import STGCN
from skelray.backbones.form import FORMS
from skelray.backbones.graph import spatial_partition
from skelray.released.stgcn import stgcn_from_released
from skelray.skeleton import KINECT_V2

FILES = ("stgcn_true", "stgcn_true_linear60", "stgcn_small", "stgcn_small_linear", "stgcn_hiclr_names")


def load(file, dtype, form):
    config = file.config
    state = file.under("state/", dtype)
    backbone = STGCN(hidden_channels=config["hidden_channels"], hidden_dim=config["hidden_dim"], dropout=0)
    encoder = backbone.build(KINECT_V2, form)
    encoder.to(dtype).load_state_dict(stgcn_from_released(state))
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

    def test_training_mode(self, golden, name, dtype, form):
        file = GoldenFile(golden(f"{name}.npz"))
        encoder, head, x, present = load(file, dtype, form)
        suffix = "_f64" if dtype == torch.float64 else ""
        feature = encoder.train()(x, present)
        file.close(feature, f"train/feature{suffix}", "train_feature")
        file.close(head(feature), f"train/output{suffix}", "train_output")

    def test_gradients(self, golden, name, dtype, form, monkeypatch):
        file = GoldenFile(golden(f"{name}.npz"))
        if "train/grad_input" not in file:
            pytest.skip(f"{name} holds no gradients")
        if form == "gpu":
            row_norms.exactly(monkeypatch)
        encoder, head, x, present = load(file, dtype, form)
        output = head(encoder.train()(x.requires_grad_(), present))
        (output * file["train/cotangent"].to(dtype)).sum().backward()
        suffix = "_f64" if dtype == torch.float64 else ""
        file.close(x.grad, f"train/grad_input{suffix}", "train_grad_input", gradient=True)
        released = file.under(f"train/grad{suffix}/")
        expected = stgcn_from_released({key: t for key, t in released.items() if not key.startswith("fc.")})
        ours = {key: parameter.grad for key, parameter in encoder.named_parameters()}
        assert set(expected) <= set(ours)
        assert len(expected) >= 20
        limits = file.tolerance(dtype, "train_grad_params", gradient=True)
        for key, gradient in expected.items():
            torch.testing.assert_close(ours[key].to(gradient.dtype), gradient, **limits, msg=lambda m, k=key: f"{k}: {m}")

    def test_running_statistics(self, golden, name, dtype, form):
        file = GoldenFile(golden(f"{name}.npz"))
        encoder, _, x, present = load(file, dtype, form)
        encoder.train()(x, present)
        after = stgcn_from_released(file.under("train/bn_after/"))
        state = encoder.state_dict()
        assert after
        for key, expected in after.items():
            torch.testing.assert_close(state[key].to(expected.dtype), expected, rtol=1e-4, atol=1e-5, msg=key)


def test_graph_is_the_released_buffer(golden):
    file = GoldenFile(golden("stgcn_true.npz"))
    torch.testing.assert_close(spatial_partition(KINECT_V2), file["state/A"], rtol=1e-6, atol=1e-7)
