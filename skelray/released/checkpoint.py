"""Encoders from checkpoints of the released code: read safely, recognised, and kept in a store."""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelray import papers
from skelray.backbones import DSTA, Hierarchical
from skelray.checks import UserError
from skelray.data.formats.sources import UNREADABLE
from skelray.data.formats.unpickle import BROKEN, NUMBERS
from skelray.names import METHODS
from skelray.released.names import from_released
from skelray.released.recognise import SKELETON, recognise
from skelray.trial import Trial

_CLASSES = {name: type(papers.RELEASED[name].method) for name in METHODS}
_WRAPPERS = ("state_dict", "model_state_dict", "model")  # where a training loop puts the state beside its own


@dataclass(frozen=True, eq=False)
class Imported:
    """The content of a checkpoint. trial: evaluates it; digest: of its query side, by which a trial names it.

    masks: the value of masked joints, by stream. assumed: settings of the backbone that weights do not reveal.
    """

    digest: str
    trial: Trial
    query: dict[str, Tensor]
    masks: dict[str, Tensor]
    parameters: int
    epochs: int | None
    assumed: tuple[str, ...] = ()

    def __str__(self) -> str:
        trial, told = self.trial, "an unknown number of" if self.epochs is None else self.epochs
        said = (
            f"{type(trial.method).__name__} on {type(trial.backbone).__name__}, {trial.stream}: "
            f"{self.parameters:,} parameters in encoder and projector, {told} epochs"
        )
        return f"{said}; assumed, since weights do not tell: {', '.join(self.assumed)}" if self.assumed else said

    def study_text(self) -> str:
        """Returns the text of a study file that evaluates it."""
        of_dsta = isinstance(self.trial.backbone, DSTA)
        name = next(name for name, method in _CLASSES.items() if method is type(self.trial.method)) + "_dsta" * of_dsta
        base = papers.RELEASED[name]
        method = _changes(base.method, self.trial.method)
        changes = [f"method=replace(released.method, {method})"] if method else []
        if self.assumed or self.trial.backbone != base.backbone:
            changes.append(f"backbone={self.trial.backbone!r}")
        if self.trial.stream != base.stream:
            changes.append(f'stream="{self.trial.stream}"')
        changes.append(f'epochs=0, imported="{self.digest}"')
        note = f"# Weights do not tell {' or '.join(self.assumed)}: change the backbone where it was trained otherwise.\n"
        return (
            "from dataclasses import replace\n\n"
            "from skelray import DSTA, GRU, LSTM, STGCN, Ablation, Arm, Hierarchical, Transformer, papers\n\n"
            f'released = papers.RELEASED["{name}"]\n'
            f"{note if self.assumed else ''}"
            f"base = replace(released, {', '.join(changes)})\n"
            'study = Ablation(base=base, arms=[Arm("imported")])\n'
        )


def read_checkpoint(path: Path, method: str, backbone: str | None = None, stream: str | None = None) -> Imported:
    """Reads the encoder in a released .pt or .pth.tar file, of any width.

    method: one of names.METHODS; backbone: the only one accepted, if given; stream: what it was trained on, joint by
    default. Nothing but tensors, numbers and plain containers is read. Raises UserError for a file that is damaged or
    something else, and for a stream with CrosSCLR, whose files name theirs.
    """
    if method == "crossclr" and stream is not None:
        raise UserError(f"stream {stream!r}: a checkpoint of crossclr tells its streams itself, leave it out")
    content = _load(path)
    state: Any = next((content[name] for name in _WRAPPERS if name in content), content)
    if not isinstance(state, dict) or not state or not all(_named_tensor(*item) for item in state.items()):
        raise UserError(f"{path} holds no state of a model (names and tensors)")
    try:
        state = {
            name.removeprefix("module."): tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in state.items()
        }
        trial, assumed = recognise(state, method, stream)
        query, masks, parameters = _query(trial, state)
    except (*BROKEN, RuntimeError) as error:  # what foreign shapes raise on their way under our names
        why = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        raise UserError(f"{path} is no pre-training checkpoint of {method}: {why}") from None
    found = type(trial.backbone).__name__.lower()
    if backbone is not None and backbone != found:
        raise UserError(f"{path} holds a {found}, not a {backbone}")
    digest = hashlib.sha256()
    for name, tensor in sorted(query.items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    named = digest.hexdigest()[:16]
    epochs = content.get("epoch")
    told = int(epochs) if isinstance(epochs, (int, np.integer)) else None
    return Imported(named, replace(trial, imported=named), query, masks, parameters, told, assumed)


def _load(path: Path) -> dict[Any, Any]:
    try:
        with open(path, "rb") as file:  # torch does not check the sums within an archive
            if file.read(4) == b"PK\x03\x04" and (damaged := zipfile.ZipFile(file).testzip()) is not None:
                raise UserError(f"it is damaged, {damaged} in it does not have the sum that it was written with")
        with warnings.catch_warnings(), torch.serialization.safe_globals(NUMBERS):
            warnings.simplefilter("ignore")  # of pickle protocols that torch does not write
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except pickle.UnpicklingError:
        raise UserError(f"{path} holds more than tensors and plain containers, or is damaged: it is not opened") from None
    except (*BROKEN, *UNREADABLE) as error:
        why = (str(error).strip() or "it ends too early").splitlines()[0]
        raise UserError(f"{path} is no checkpoint that torch can read: {why}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, not the state of a model")
    return dict(content)


def _named_tensor(name: Any, tensor: Any) -> bool:
    return isinstance(name, str) and isinstance(tensor, Tensor)


def _query(trial: Trial, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
    """Returns the query side's state, its streams' mask values, and its number of parameters.

    Raises UserError if the file lacks a part or holds non-finite values, RuntimeError for other shapes.
    """
    ours = from_released({name: tensor for name, tensor in state.items() if name.startswith(("encoder_q", "mask_param"))})
    if isinstance(trial.backbone, Hierarchical) and trial.backbone.granularity == 1:  # released code builds it all the same
        ours = {name: tensor for name, tensor in ours.items() if ".downsampling." not in name}
    model = replace(trial.method, queue=1).build(trial.backbone, SKELETON, trial.stream)  # type: ignore[type-var]
    missing, unexpected = model.load_state_dict(ours, strict=False)
    if lost := [name for name in (*missing, *unexpected) if "query" in name.split(".")]:
        raise UserError(f"{lost[0]} is missing or unknown")
    query = {name: tensor.clone() for name, tensor in model.query.state_dict().items()}
    masks = {stream: value.detach().clone() for stream, value in model.mask_values().items()}
    checked = query | {f"the mask value of {stream}": value for stream, value in masks.items()}
    if wrong := [name for name, tensor in checked.items() if not tensor.isfinite().all()]:
        raise UserError(f"{wrong[0]} holds values that are not finite")
    return query, masks, sum(parameter.numel() for parameter in model.query.parameters())


def _changes(base: Any, other: Any) -> str:
    changed = [f.name for f in fields(base) if getattr(base, f.name) != getattr(other, f.name)]
    return ", ".join(f"{name}={getattr(other, name)!r}" for name in changed)
