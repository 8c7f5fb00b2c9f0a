"""Parameter names and layouts of HiCLR's released DSTA-Net, translated to ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from skelray.checks import UserError

State = dict[str, Tensor]


def _same(tensor: Tensor, subsets: int) -> Tensor:
    return tensor


def _linear(weight: Tensor, subsets: int) -> Tensor:
    return weight[..., 0, 0]  # (O, C, 1, 1) -> (O, C)


def _queries_and_keys(weight: Tensor, subsets: int) -> Tensor:
    return _linear(weight, subsets).unflatten(0, (2 * subsets, -1)).transpose(1, 2)  # (2S I, C, 1, 1) -> (2S, C, I)


def _mix(weight: Tensor, subsets: int) -> Tensor:
    return _linear(weight, subsets).unflatten(1, (subsets, -1)).permute(1, 2, 0)  # (O, S C, 1, 1) -> (S, C, O)


_L = r"graph_layers\.(\d+)\."
# Released name -> (our name, what to do to the tensor, given the number of subsets).
_DSTA: tuple[tuple[str, str, Callable[[Tensor, int], Tensor]], ...] = (
    (r"proj\.weight", "linear.weight", _linear),
    (r"proj\.bias", "linear.bias", _same),
    (r"input_map\.0\.(\w+)", r"join.norm.\1", _same),
    (_L + r"alphas", r"layers.\1.attention.alpha", lambda t, subsets: t.flatten()),
    (_L + r"attention0s", r"layers.\1.attention.shared", lambda t, subsets: t[0]),
    (_L + r"pes\.pe", r"layers.\1.attention.position", lambda t, subsets: t[0, :, 0].T),  # the same in each frame
    (_L + r"in_nets\.weight", r"layers.\1.attention.query_key_weight", _queries_and_keys),
    (_L + r"in_nets\.bias", r"layers.\1.attention.query_key_bias", lambda t, subsets: t.view(2 * subsets, -1)),
    (_L + r"out_nets\.0\.weight", r"layers.\1.attention.weight", _mix),
    (_L + r"out_nets\.0\.bias", r"layers.\1.attention.bias", _same),
    (_L + r"out_nets\.1\.(\w+)", r"layers.\1.join1.norm.\2", _same),
    (_L + r"ff_nets\.0\.weight", r"layers.\1.linear.weight", _linear),
    (_L + r"ff_nets\.0\.bias", r"layers.\1.linear.bias", _same),
    (_L + r"ff_nets\.1\.(\w+)", r"layers.\1.join2.norm.\2", _same),
    (_L + r"out_nett\.0\.weight", r"layers.\1.temporal.weight", lambda t, subsets: t[..., 0].permute(2, 1, 0)),
    (_L + r"out_nett\.0\.bias", r"layers.\1.temporal.bias", _same),
    (_L + r"out_nett\.1\.(\w+)", r"layers.\1.join3.norm.\2", _same),
    (_L + r"downs([12])\.0\.weight", r"layers.\1.shortcut\2.linear.weight", _linear),
    (_L + r"downs([12])\.0\.bias", r"layers.\1.shortcut\2.linear.bias", _same),
    (_L + r"downs([12])\.1\.(\w+)", r"layers.\1.shortcut\2.norm.\3", _same),
    (_L + r"downt2\.0\.weight", r"layers.\1.shortcut3.linear.weight", _linear),
    (_L + r"downt2\.0\.bias", r"layers.\1.shortcut3.linear.bias", _same),
    (_L + r"downt2\.1\.(\w+)", r"layers.\1.shortcut3.norm.\2", _same),
)
_UNUSED = r"fc\..+|graph_layers\.\d+\.atts"


def dsta_from_released(state: Mapping[str, Tensor]) -> State:
    """Returns a released DSTA-Net state without its head (``fc.*``) and the unused ``atts``, under our names.

    The number of subsets is that of the state's ``alphas``, three if it holds none. Raises UserError naming the first
    parameter that no released DSTA-Net has.
    """
    subsets = next((tensor.numel() for name, tensor in state.items() if name.endswith(".alphas")), 3)
    ours: State = {}
    for name, tensor in state.items():
        if re.fullmatch(_UNUSED, name):
            continue
        for pattern, target, convert in _DSTA:
            if re.fullmatch(pattern, name):
                ours[re.sub(pattern, target, name)] = convert(tensor, subsets)
                break
        else:
            raise UserError(f"{name!r} is no parameter of a released DSTA-Net")
    return ours
