"""The linear classifier that evaluations train on features, frozen or not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

INITS = ("normal", "xavier", "default")


class Classifier(nn.Module):
    """A linear map for each stream's features; the logits are their mean, as CrosSCLR trains its streams.

    dims: of each stream's features. init: "normal" is N(0, std) with zero biases; "xavier" Xavier-normal with zero biases;
    "default" is torch's, weights and biases uniform within 1 / sqrt(dim). Drawn from the generator, on the CPU.
    """

    def __init__(self, dims: Sequence[int], classes: int, generator: torch.Generator, init: str, std: float = 0.02) -> None:
        super().__init__()
        # skip_init: its own weights would come from torch's global generator, which is not ours to move
        self.maps = nn.ModuleList(nn.utils.skip_init(nn.Linear, dim, classes) for dim in dims)
        with torch.no_grad():
            for dim, linear in zip(dims, self.maps, strict=True):
                weight, bias = torch.empty(classes, dim), torch.zeros(classes)
                if init == "default":
                    weight.uniform_(-(dim**-0.5), dim**-0.5, generator=generator)
                    bias.uniform_(-(dim**-0.5), dim**-0.5, generator=generator)
                else:
                    scale = std if init == "normal" else (2 / (dim + classes)) ** 0.5
                    weight = torch.randn(classes, dim, generator=generator).mul_(scale)
                linear.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Returns (N, dim) of each stream -> (N, classes)."""
        logits = [linear(f) for linear, f in zip(self.maps, features, strict=True)]
        return logits[0] if len(logits) == 1 else torch.stack(logits).mean(dim=0)
