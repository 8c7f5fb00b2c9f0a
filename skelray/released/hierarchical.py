"""Parameter names of the released HiCo encoders and heads, translated to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from skelray.checks import UserError
from skelray.released.stgcn import State

_BRANCHES = {"t": "temporal", "s": "spatial"}
_HEADS = {"clip": "clip", "part": "part", "td": "temporal", "sd": "spatial", "instance": "instance"}
_HEAD = r"(clip|part|td|sd|instance)_proj\.(.+)"

# Released name within a branch -> ours. An embedding is linear, norm, ReLU, linear; a Transformer layer keeps the names of
# torch's, in which the attention is a module of its own.
_PARAMETERS: tuple[tuple[str, str], ...] = (
    (r"embedding\.0\.(\w+)", r"embed1.\1"),
    (r"embedding\.1\.(\w+)", r"norm.\1"),
    (r"embedding\.3\.(\w+)", r"embed2.\1"),
    (r"downsample\.conv\.dw_conv\.(\w+)", r"downsampling.0.conv.\1"),
    (r"downsample\.norm\.(\w+)", r"downsampling.0.norm.\1"),
    (r"encoder\.((?:weight|bias)_[ih]h_l\d+(?:_reverse)?)", r"s2s.0.cells.\1"),
    (r"encoder\.layers\.(\d+)\.self_attn\.in_proj_(\w+)", r"s2s.0.\1.attention_in.\2"),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj\.(\w+)", r"s2s.0.\1.attention_out.\2"),
    (r"encoder\.layers\.(\d+)\.((?:linear|norm)[12]\.\w+)", r"s2s.0.\1.\2"),
)


def hierarchical_from_released(state: Mapping[str, Tensor]) -> State:
    """Returns a released HiCo encoder (``hi_encoder.*``) without its heads (``*_proj.*``, ``fc.*``), under our names.

    Raises UserError naming the first parameter that no released HiCo has.
    """
    ours: State = {}
    for name, tensor in state.items():
        if re.fullmatch(_HEAD, name) or name.startswith("fc."):
            continue
        branch, _, rest = name.removeprefix("hi_encoder.").partition("_")
        for pattern, target in _PARAMETERS:
            if branch in _BRANCHES and re.fullmatch(pattern, rest):
                ours[f"{_BRANCHES[branch]}.{re.sub(pattern, target, rest)}"] = tensor
                break
        else:
            raise UserError(f"{name!r} is no parameter of a released HiCo encoder")
    return ours


def heads_from_released(state: Mapping[str, Tensor]) -> State:
    """Returns the heads clip, part, temporal, spatial and instance of a released state, each linear, ReLU, linear."""
    found = {name: re.fullmatch(_HEAD, name) for name in state}
    return {f"{_HEADS[match[1]]}.{match[2]}": state[name] for name, match in found.items() if match}
