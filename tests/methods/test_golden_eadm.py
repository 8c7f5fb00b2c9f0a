"""AimCLR's drop against the released one: attention, masks, output and gradient."""

import pytest
import torch
from golden_file import GoldenFile

from skelray.methods import EADM
from skelray.methods.eadm import energy_attention

FILES = ("eadm_relu", "eadm_signed", "eadm_threshold")


def ours(x):
    """(B, C, T, V) -> (B, 1, T, V, C)."""
    return x.permute(0, 2, 3, 1)[:, None]


@pytest.mark.parametrize("name", FILES)
def test_attention_masks_output_and_gradient(golden, name):
    file = GoldenFile(golden(f"{name}.npz"))
    config = file.config
    drop = EADM("released", config["threshold"], config.get("lambda_", 1e-4))
    x = ours(file["input"]).requires_grad_()
    a = energy_attention(x.detach(), drop.lambda_, unbiased=True)
    torch.testing.assert_close(a, ours(file["attention"]), **file.tolerance(torch.float32, "attention"))
    out = drop(x)
    torch.testing.assert_close(out, ours(file["output"]), **file.tolerance(torch.float32, "output"))
    (out * ours(file["cotangent"])).sum().backward()
    torch.testing.assert_close(
        x.grad, ours(file["grad_input"]), **file.tolerance(torch.float32, "grad_input", gradient=True)
    )
    double = drop(ours(file["input"]).double())
    torch.testing.assert_close(double, ours(file["output_f64"]), **file.tolerance(torch.float64))
