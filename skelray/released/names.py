"""The state of a released pre-training model (SkeletonCLR, CrosSCLR, AimCLR, HiCLR) under our names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from skelray.names import STREAMS
from skelray.released.dsta import dsta_from_released
from skelray.released.hierarchical import heads_from_released, hierarchical_from_released
from skelray.released.stgcn import State, stgcn_from_released

_SIDES = (("encoder_q.", "query"), ("encoder_k.", "key"))
_QUEUES = {"c": "clip", "p": "part", "t": "temporal", "s": "spatial", "i": "instance"}


def from_released(state: Mapping[str, Tensor]) -> State:
    """Translates a released state for a MoCo, a MultiStream (if it has several streams) or a HiCoModel."""
    if any(name.startswith("encoder_q.hi_encoder.") for name in state):
        return hico_from_released(state)
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
    """Translates encoders, projectors, queue (D, K) to (K, D), pointer and mask value, as far as the state has them."""
    ours: State = {}
    for prefix, side in _SIDES:
        branch = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        convert = dsta_from_released if any(name.startswith("graph_layers.") for name in branch) else stgcn_from_released
        ours |= {f"{side}.encoder.{name}": tensor for name, tensor in convert(branch).items()}
        head = {name: tensor for name, tensor in branch.items() if name.startswith("fc.")}
        ours |= {f"{side}.head.{name.removeprefix('fc.')}": tensor for name, tensor in head.items()}
    if "queue" in state:
        ours["queue.keys"] = state["queue"].T
    if "queue_ptr" in state:
        ours["queue.position"] = state["queue_ptr"].reshape(())
    if "mask_param" in state:
        ours["mask_value"] = state["mask_param"].reshape(1)
    return ours


def hico_from_released(state: Mapping[str, Tensor]) -> State:
    """Translates a HiCoModel's encoders, heads, queues (D, K) to (K, D) and pointers, as far as the state has them."""
    ours: State = {}
    for prefix, side in _SIDES:
        branch = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        ours |= {f"{side}.encoder.{name}": tensor for name, tensor in hierarchical_from_released(branch).items()}
        ours |= {f"{side}.heads.{name}": tensor for name, tensor in heads_from_released(branch).items()}
    for letter, name in _QUEUES.items():
        if f"{letter}_queue" in state:
            ours[f"queues.{name}.keys"] = state[f"{letter}_queue"].T
        if f"{letter}_queue_ptr" in state:
            ours[f"queues.{name}.position"] = state[f"{letter}_queue_ptr"].reshape(())
    return ours
