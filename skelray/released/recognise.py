"""Recognition of a released state: its trial and encoder settings, from names, shapes and the graph."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from skelray import papers
from skelray.backbones import DSTA, GRU, LSTM, STGCN, Hierarchical, Transformer
from skelray.backbones.graph import PARTITIONS, spatial_partition
from skelray.checks import UserError
from skelray.skeleton import KINECT_V2
from skelray.trial import Trial

SKELETON = KINECT_V2  # of all released checkpoints
State = Mapping[str, Tensor]


def recognise(state: State, method: str, stream: str | None = None) -> tuple[Trial, tuple[str, ...]]:
    """Returns the trial that evaluates a state, and the assumed settings of its backbone, which weights do not reveal.

    state: as released, names without "module."; method: one of names.METHODS; stream: joint by default; CrosSCLR's states
    name theirs. Raises UserError for a state of another method or of an unknown shape.
    """
    backbone: STGCN | DSTA | Hierarchical
    assumed: tuple[str, ...] = ()
    name, head = method, "encoder_q.fc.2.weight"
    if method == "hico":
        head = "encoder_q.instance_proj.2.weight"
        backbone, assumed = _hierarchical(state)
    elif "encoder_q.proj.weight" in state:
        name = f"{method}_dsta"
        if name not in papers.RELEASED:
            raise UserError("it holds a DSTA-Net, which only HiCLR's released code trains")
        backbone, assumed = _dsta(state)
    else:
        backbone = _stgcn(state)
    others = [other for other in ("motion", "bone") if f"encoder_q_{other}.fc.0.weight" in state]
    if method == "crossclr":
        stream = "+".join(["joint", *others])
    elif others:
        raise UserError("it holds several streams, as CrosSCLR trains them")
    base = papers.RELEASED[name]
    trained = replace(base.method, dim=_sizes(state, head, 2)[0])  # type: ignore[type-var]
    return replace(base, backbone=backbone, method=trained, stream=stream or "joint", epochs=0), assumed


def _sizes(state: State, name: str, dims: int) -> tuple[int, ...]:
    """Returns a tensor's shape. Raises UserError unless the state has this name with so many dimensions."""
    if name not in state:
        raise UserError(f"{name} is not in it")
    sizes = tuple(state[name].shape)
    if len(sizes) != dims or 0 in sizes:
        raise UserError(f"{name} has the shape {sizes}, not {dims} sizes of at least 1")
    return sizes


def _count(state: State, pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in state)


def _stgcn(state: State) -> STGCN:
    first, last = (_sizes(state, f"encoder_q.st_gcn_networks.{block}.tcn.2.bias", 1)[0] for block in (0, 9))
    return STGCN(hidden_channels=first, hidden_dim=last, partition=_partition(state))


def _partition(state: State) -> str:
    """Returns the partition of the query encoders' graphs; the released one if they carry none."""
    graphs = [graph.float() for name, graph in state.items() if re.fullmatch(r"encoder_q\w*\.A", name)]
    for partition in PARTITIONS:
        ours = spatial_partition(SKELETON, partition)
        if all(graph.shape == ours.shape and torch.allclose(graph, ours, atol=1e-3) for graph in graphs):  # or halves
            return partition
    raise UserError(f"its graph A is not that of {len(SKELETON.joints)} Kinect v2 joints, {' or '.join(PARTITIONS)}")


def _dsta(state: State) -> tuple[DSTA, tuple[str, ...]]:
    """Returns the backbone; the frames of the next layer reveal a layer's stride, so that of the last remains unknown.

    A layer has shortcuts if it widens or has a stride, so the weights of a last layer that widens do not reveal its stride.
    It is taken as 1 if the layers before already shorten the input as much as those of the published net do.
    """
    layers, frames = [], []
    for number in range(max(1, _count(state, r"encoder_q\.graph_layers\.\d+\.alphas"))):
        prefix = f"encoder_q.graph_layers.{number}."
        subsets = _sizes(state, f"{prefix}alphas", 4)[1]
        queries_and_keys, channels = _sizes(state, f"{prefix}in_nets.weight", 4)[:2]
        layers.append((channels, _sizes(state, f"{prefix}ff_nets.0.weight", 4)[0], queries_and_keys // (2 * subsets)))
        frames.append(_sizes(state, f"{prefix}pes.pe", 4)[2])
    strides = [round(before / after) for before, after in itertools.pairwise(frames)]
    shortcut, widens = f"{prefix}downt2.0.weight" in state, layers[-1][0] != layers[-1][1]
    shortened = math.prod(strides) >= math.prod(stride for *_, stride in DSTA().layers)
    last = 2 if shortcut and not (widens and shortened) else 1
    of_layers = tuple((*layer, stride) for layer, stride in zip(layers, [*strides, last], strict=True))
    return DSTA(of_layers, subsets), (f"a stride of {last} in the last layer",) if shortcut and widens else ()


def _hierarchical(state: State) -> tuple[Hierarchical, tuple[str, ...]]:
    prefix = "encoder_q.hi_encoder."
    hidden, inputs = _sizes(state, f"{prefix}t_embedding.0.weight", 2)
    s2s: Transformer | GRU | LSTM
    assumed: tuple[str, ...] = ()
    if layers := _count(state, re.escape(prefix) + r"t_encoder\.layers\.\d+\.linear1\.weight"):
        width = _sizes(state, f"{prefix}t_encoder.layers.0.linear1.weight", 2)[0]
        s2s = Transformer(layers=layers, feedforward=None if width == hidden else width)
        assumed = (f"{s2s.heads} heads",)
    else:
        gates, features = _sizes(state, f"{prefix}t_encoder.weight_hh_l0", 2)
        layers = _count(state, re.escape(prefix) + r"t_encoder\.weight_hh_l\d+")
        s2s = GRU(layers) if gates == 3 * features else LSTM(layers)
    backbone = Hierarchical(
        hidden_dim=hidden,
        granularity=_sizes(state, "encoder_q.td_proj.0.weight", 2)[1] // hidden,
        s2s=s2s,
        kernel=_sizes(state, f"{prefix}t_downsample.conv.dw_conv.weight", 3)[2],
        frames=_sizes(state, f"{prefix}s_embedding.0.weight", 2)[1] // 3,
        persons=inputs // (3 * len(SKELETON.joints)),
    )
    return backbone, (*assumed, f"a factor of {backbone.factor} between levels") if backbone.granularity > 1 else assumed
