"""A 1 x 1 convolution with the parameters of a linear map."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Pointwise(nn.Linear):
    """(B, C, T, V) -> (B, O, T', V), every ``stride``-th frame."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__(channels, out)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[:, :, None, None], self.bias, (self.stride, 1))
