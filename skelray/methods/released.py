"""The state of a released pre-training model (SkeletonCLR, CrosSCLR, AimCLR, HiCLR) under our names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from skelray.augment import STREAMS
from skelray.backbones.released import State, stgcn_from_released


def from_released(state: Mapping[str, Tensor]) -> State:
    """Of a MoCo or, where the state has several streams, of a MultiStream; whatever the state holds of it."""
    streams = [s for s in STREAMS if s != "joint" and any(f"_{s}." in name for name in state)]
    if not streams:
        return moco_from_released(state)
    of = {stream: {} for stream in ("joint", *streams)}  # type: dict[str, dict[str, Tensor]]
    for name, tensor in state.items():
        first = name.split(".")[0]
        stream = next((s for s in streams if first.endswith(f"_{s}")), "joint")
        of[stream][name.replace(f"_{stream}", "", 1)] = tensor
    return {
        f"streams.{stream}.{name}": tensor for stream, own in of.items() for name, tensor in moco_from_released(own).items()
    }


def moco_from_released(state: Mapping[str, Tensor]) -> State:
    """Encoders, projectors, queue (D, K) to (K, D), pointer and mask value; whatever the state holds of them."""
    ours: State = {}
    for prefix, side in (("encoder_q.", "query"), ("encoder_k.", "key")):
        branch = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        encoder = stgcn_from_released(branch)
        ours |= {f"{side}.encoder.{name}": tensor for name, tensor in encoder.items()}
        head = {name: tensor for name, tensor in branch.items() if name.startswith("fc.")}
        ours |= {f"{side}.head.{name.removeprefix('fc.')}": tensor for name, tensor in head.items()}
    if "queue" in state:
        ours["queue.keys"] = state["queue"].T
    if "queue_ptr" in state:
        ours["queue.position"] = state["queue_ptr"].reshape(())
    if "mask_param" in state:
        ours["mask_value"] = state["mask_param"].reshape(1)
    return ours
