"""The state of a released pre-training model (SkeletonCLR, AimCLR, HiCLR on ST-GCN) under our names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from skelray.backbones.released import State, stgcn_from_released

_SIDES = {"encoder_q.": "query", "encoder_k.": "key"}


def moco_from_released(state: Mapping[str, Tensor]) -> State:
    """Encoders, projectors, queue (D, K) to (K, D), pointer and mask value; whatever the state holds of them."""
    ours: State = {}
    for prefix, side in _SIDES.items():
        branch = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        encoder = stgcn_from_released(branch)
        ours |= {f"{side}.encoder.{name}": tensor for name, tensor in encoder.items()}
        head = {name: tensor for name, tensor in branch.items() if name.startswith("fc.")}
        ours |= {f"{side}.head.{name.removeprefix('fc.')}": tensor for name, tensor in head.items()}
    if "queue" in state:
        ours["queue"] = state["queue"].T
    if "queue_ptr" in state:
        ours["position"] = state["queue_ptr"].reshape(())
    if "mask_param" in state:
        ours["mask_value"] = state["mask_param"].reshape(1)
    return ours
