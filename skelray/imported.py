"""Encoders from the checkpoints that the released code bases write: read safely, recognised, and kept in a store."""

from __future__ import annotations

import hashlib
import itertools
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skelray import papers
from skelray.backbones import DSTA, GRU, LSTM, STGCN, Hierarchical, Transformer
from skelray.methods.released import from_released
from skelray.skeleton import KINECT_V2
from skelray.store import Store
from skelray.trial import Trial

_CLASSES = {name: type(papers.RELEASED[name].method) for name in papers.METHODS}


@dataclass(frozen=True)
class Imported:
    """What a file holds. trial: evaluates it; digest: of its query side, by which a trial names it."""

    digest: str
    trial: Trial
    query: dict[str, Tensor]
    parameters: int
    epochs: int | None

    def __str__(self) -> str:
        trial, told = self.trial, "an unknown number of" if self.epochs is None else self.epochs
        return (
            f"{type(trial.method).__name__} on {type(trial.backbone).__name__}, {trial.stream}: "
            f"{self.parameters:,} parameters in encoder and projector, {told} epochs"
        )

    def study(self) -> str:
        """A study file that evaluates it."""
        of_dsta = isinstance(self.trial.backbone, DSTA)
        name = next(name for name, method in _CLASSES.items() if method is type(self.trial.method)) + "_dsta" * of_dsta
        base = papers.RELEASED[name]
        method = _changes(base.method, self.trial.method)
        changes = [f"method=replace(released.method, {method})"] if method else []
        if self.trial.backbone != base.backbone:
            changes.append(f"backbone={self.trial.backbone!r}")
        if self.trial.stream != base.stream:
            changes.append(f'stream="{self.trial.stream}"')
        changes.append(f'epochs=0, imported="{self.digest}"')
        return (
            "from dataclasses import replace\n\n"
            "from skelray import DSTA, GRU, LSTM, STGCN, Ablation, Arm, Hierarchical, Transformer, papers\n\n"
            f'released = papers.RELEASED["{name}"]\n'
            f"base = replace(released, {', '.join(changes)})\n"
            'study = Ablation(base=base, arms=[Arm("imported")])\n'
        )


def read(path: Path, method: str, backbone: str | None = None, stream: str = "joint") -> Imported:
    """The encoder in a released .pt or .pth.tar file, whatever its widths.

    Nothing but tensors and plain containers is read. Raises ValueError, in one sentence, for a file that is something else.
    """
    content = _load(path)
    state: Any = content.get("state_dict", content)
    if not isinstance(state, dict) or not state or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(f"{path} holds no state of a model (names and tensors)")
    state = {
        name.removeprefix("module."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    trial = _trial(path, state, method, stream)
    found = type(trial.backbone).__name__.lower()
    if backbone is not None and backbone != found:
        raise ValueError(f"{path} holds a {found}, not a {backbone}")
    query, parameters = _query(path, trial, state)
    digest = hashlib.sha256()
    for name, tensor in sorted(query.items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    named = digest.hexdigest()[:16]
    epochs = content.get("epoch")
    told = epochs if isinstance(epochs, int) else None
    return Imported(named, replace(trial, imported=named), query, parameters, told)


def keep(imported: Imported, store: Store) -> None:
    """Puts the encoder where trials find it by its digest."""
    store.save_weights(imported.digest, {"model": imported.query, "history": []})


def _load(path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols that torch does not write
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except pickle.UnpicklingError:
        raise ValueError(f"{path} holds more than tensors and plain containers, or is damaged: it is not opened") from None
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, ValueError, KeyError) as error:
        why = (str(error) or "it ends too early").splitlines()[0]
        raise ValueError(f"{path} is no checkpoint that torch can read: {why}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not the state of a model")
    return dict(content)


def _trial(path: Path, state: Mapping[str, Tensor], method: str, stream: str) -> Trial:
    on_dsta = method == "hiclr" and "encoder_q.proj.weight" in state
    base = papers.RELEASED["hiclr_dsta" if on_dsta else method]
    try:
        if method == "hico":
            hidden, inputs = state["encoder_q.hi_encoder.t_embedding.0.weight"].shape
            return replace(
                base,
                backbone=_hierarchical(state, hidden, inputs),
                method=replace(base.method, dim=len(state["encoder_q.instance_proj.2.weight"])),  # type: ignore[type-var]
                stream=stream,
                epochs=0,
            )
        heads = [name for name in state if re.fullmatch(r"encoder_q\.fc\.2\.weight", name)]
        settings = {"dim": len(state[heads[0]])}
        if method == "crossclr":
            stream = "+".join(["joint", *(s for s in ("motion", "bone") if f"encoder_q_{s}.fc.0.weight" in state)])
        moco = replace(base.method, **settings)  # type: ignore[type-var]
        return replace(base, backbone=_of_moco(state), method=moco, stream=stream, epochs=0)
    except (KeyError, IndexError):
        raise ValueError(f"{path} is no pre-training checkpoint of {method}: its query encoder is not in it") from None


def _of_moco(state: Mapping[str, Tensor]) -> STGCN | DSTA:
    if "encoder_q.proj.weight" in state:
        layers: list[tuple[int, int, int, int]] = []
        while (prefix := f"encoder_q.graph_layers.{len(layers)}.") + "alphas" in state:
            subsets = state[prefix + "alphas"].numel()
            out, channels = len(state[prefix + "ff_nets.0.weight"]), state[prefix + "in_nets.weight"].shape[1]
            inter = len(state[prefix + "in_nets.weight"]) // (2 * subsets)
            layers.append((channels, out, inter, state[prefix + "pes.pe"].shape[2]))  # its frames, for now
        shortcut = f"encoder_q.graph_layers.{len(layers) - 1}.downt2.0.weight" in state
        return DSTA(layers=_with_strides(layers, shortcut), subsets=subsets)
    last = "encoder_q.st_gcn_networks.9.tcn.2.bias"
    return STGCN(hidden_channels=len(state["encoder_q.st_gcn_networks.0.tcn.2.bias"]), hidden_dim=len(state[last]))


def _with_strides(layers: list[tuple[int, int, int, int]], shortcut: bool) -> tuple[tuple[int, int, int, int], ...]:
    """From the frames that each layer sees to its stride: the next layer's frames tell.

    Of the last layer nothing tells for sure. At the published widths it is 1; elsewhere a shortcut counts as stride 2.
    """
    frames = [layer[3] for layer in layers]
    strides = [round(before / after) for before, after in itertools.pairwise(frames)]
    published = [layer[:3] for layer in layers] == [layer[:3] for layer in DSTA().layers]
    last = DSTA().layers[-1][3] if published else 2 if shortcut else 1
    return tuple((*layer[:3], stride) for layer, stride in zip(layers, [*strides, last], strict=True))


def _hierarchical(state: Mapping[str, Tensor], hidden: int, inputs: int) -> Hierarchical:
    """The heads of a Transformer leave no trace in its weights: four, as released."""
    prefix = "encoder_q.hi_encoder.t_encoder."
    s2s: Transformer | GRU | LSTM
    if prefix + "layers.0.linear1.weight" in state:
        layers = sum(re.fullmatch(re.escape(prefix) + r"layers\.\d+\.linear1\.weight", name) is not None for name in state)
        s2s = Transformer(layers=layers, feedforward=len(state[prefix + "layers.0.linear1.weight"]))
        s2s = replace(s2s, feedforward=None) if s2s.feedforward == hidden else s2s
    else:
        gates = len(state[prefix + "weight_ih_l0"]) // (hidden // 2)
        layers = sum(re.fullmatch(re.escape(prefix) + r"weight_ih_l\d+", name) is not None for name in state)
        s2s = GRU(layers) if gates == 3 else LSTM(layers)
    return Hierarchical(
        hidden_dim=hidden,
        granularity=state["encoder_q.td_proj.0.weight"].shape[1] // hidden,
        s2s=s2s,
        kernel=state["encoder_q.hi_encoder.t_downsample.conv.dw_conv.weight"].shape[2],
        frames=state["encoder_q.hi_encoder.s_embedding.0.weight"].shape[1] // 3,
        persons=inputs // (3 * len(KINECT_V2.joints)),
    )


def _query(path: Path, trial: Trial, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """The state of the query side of the trial's model and its parameters' count.

    Raises ValueError where the file does not fill it.
    """
    try:
        ours = from_released(state)
        model = replace(trial.method, queue=1).build(trial.backbone, KINECT_V2, trial.stream)  # type: ignore[type-var]
        sides = {name: tensor for name, tensor in ours.items() if "queue" not in name}
        missing, unexpected = model.load_state_dict(sides, strict=False)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} does not fit {type(trial.method).__name__}: {str(error).splitlines()[-1].strip()}"
        ) from None
    if lost := [name for name in (*missing, *unexpected) if "query" in name.split(".")]:
        raise ValueError(f"{path} does not fit {type(trial.method).__name__}: {lost[0]} is missing or unknown")
    count = sum(parameter.numel() for parameter in model.query.parameters())
    return {name: tensor.clone() for name, tensor in model.query.state_dict().items()}, count


def _changes(base: Any, other: Any) -> str:
    changed = [f.name for f in fields(base) if getattr(base, f.name) != getattr(other, f.name)]
    return ", ".join(f"{name}={getattr(other, name)!r}" for name in changed)
