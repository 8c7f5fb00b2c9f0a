"""The three streams: joint positions, bone vectors and motion, formed after augmentation."""

from __future__ import annotations

import torch
from torch import Tensor

from skelray.augment.indices import indices
from skelray.augment.view import View
from skelray.checks import UserError
from skelray.names import STREAMS
from skelray.skeleton import Skeleton


def to_stream(x: Tensor, skeleton: Skeleton, stream: str) -> Tensor:
    """Converts joint coordinates (N, C, T, V, M) to a stream of the same shape.

    bone: joint minus parent, zero at the centre. motion: next frame minus this one, zero in the last.
    Raises UserError for a stream that does not exist.
    """
    if stream == "joint":
        return x
    if stream == "bone":
        return x - x.index_select(3, indices(skeleton.parents, x.device))
    if stream == "motion":
        return torch.cat((x[:, :, 1:] - x[:, :, :-1], torch.zeros_like(x[:, :, :1])), dim=2)
    raise UserError(f"stream {stream!r} is none of {', '.join(STREAMS)}")


def encoder_input(view: View, stream: str, mask_value: Tensor) -> Tensor:
    """Returns an encoder's input (N, C, T, V, M): the view's stream after the deferred operations."""
    x = to_stream(view.x, view.skeleton, stream)
    for op in view.stream_ops:
        x = op(x, mask_value)
    return x
