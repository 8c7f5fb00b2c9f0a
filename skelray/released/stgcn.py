"""Parameter names and layouts of the released encoders, translated to ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from skelray.checks import UserError

State = dict[str, Tensor]

# Released ST-GCN name -> (our name, what to do to the tensor). ``i`` is the block number; HiCLR numbers edge importances
# from one and without a dot (methods.md, 9.2).
_STGCN: tuple[tuple[str, str, Callable[[Tensor], Tensor]], ...] = (
    (r"data_bn\.(\w+)", r"data_norm.\1", lambda t: t),
    (r"st_gcn_networks\.(\d+)\.gcn\.conv\.weight", r"blocks.\1.graph.weight", lambda t: t),
    (r"st_gcn_networks\.(\d+)\.gcn\.conv\.bias", r"blocks.\1.graph.bias", lambda t: t.view(3, -1)),
    (r"st_gcn_networks\.(\d+)\.tcn\.0\.(\w+)", r"blocks.\1.norm1.\2", lambda t: t),
    (r"st_gcn_networks\.(\d+)\.tcn\.2\.weight", r"blocks.\1.temporal.weight", lambda t: t[..., 0].permute(2, 1, 0)),
    (r"st_gcn_networks\.(\d+)\.tcn\.2\.bias", r"blocks.\1.temporal.bias", lambda t: t),
    (r"st_gcn_networks\.(\d+)\.tcn\.3\.(\w+)", r"blocks.\1.norm2.\2", lambda t: t),
    (r"st_gcn_networks\.(\d+)\.residual\.0\.weight", r"blocks.\1.shortcut.weight", lambda t: t[..., 0, 0]),
    (r"st_gcn_networks\.(\d+)\.residual\.0\.bias", r"blocks.\1.shortcut.bias", lambda t: t),
    (r"st_gcn_networks\.(\d+)\.residual\.1\.(\w+)", r"blocks.\1.shortcut_norm.\2", lambda t: t),
    (r"edge_importance\.(\d+)", r"blocks.\1.graph.importance", lambda t: t),
)


def stgcn_from_released(state: Mapping[str, Tensor]) -> State:
    """Returns a released ST-GCN state without its graph and head (``A``, ``fc.*``), under our names.

    Raises UserError naming the first parameter that no released ST-GCN has.
    """
    ours: State = {}
    for name, tensor in state.items():
        if name == "A" or name.startswith("fc."):
            continue
        plain = re.sub(r"^edge_importance(\d+)$", lambda m: f"edge_importance.{int(m[1]) - 1}", name)
        for pattern, target, convert in _STGCN:
            if re.fullmatch(pattern, plain):
                key = re.sub(pattern, target, plain)
                ours[key] = _graph_weight(tensor) if key.endswith("graph.weight") else convert(tensor)
                break
        else:
            raise UserError(f"{name!r} is no parameter of a released ST-GCN")
    return ours


def _graph_weight(weight: Tensor) -> Tensor:
    """Reorders (3 O, C, 1, 1) as (3, C, O)."""
    return weight[..., 0, 0].unflatten(0, (3, -1)).transpose(1, 2)
