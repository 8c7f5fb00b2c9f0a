"""A trial: everything that decides one trained encoder and what is measured on it, as data with a content id."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from typing import Any

import torch

from skelray.augment import STREAMS
from skelray.checks import UserError, check_positive, check_whole
from skelray.evaluation import Evaluation, names, smaller, smaller_each
from skelray.methods import SIMILARITIES, Backbone, Method, cross_entropy

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent; the rate falls tenfold after each milestone epoch (from milestone + 1 on)."""

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    nesterov: bool = False
    milestones: tuple[int, ...] = (250,)

    def __post_init__(self) -> None:
        check_positive("lr", self.lr)

    def build(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            foreach=True,
        )

    def lr_at(self, epoch: int) -> float:
        """The rate of an epoch, counted from 1."""
        return self.lr * 0.1 ** sum(epoch > milestone for milestone in self.milestones)

    def scaled(self, share: float) -> SGD:
        return replace(self, milestones=tuple(max(1, round(m * share)) for m in self.milestones))


@dataclass(frozen=True)
class Monitor:
    """Reads an evaluation on held-out training subjects every so many epochs and after the last.

    The held-out subjects are then left out of training.
    """

    evaluation: Evaluation
    every: int = 25

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UserError(f"every {self.every}: a monitor reads every so many epochs, at least 1")

    def due(self, epoch: int, last: int) -> bool:
        return epoch % self.every == 0 or epoch == last


@dataclass(frozen=True)
class Trial:
    """One cell of a study under one seed. Epochs count from 1.

    stream: joint, bone or motion, or several for a method that trains them side by side, as in "joint+motion+bone".
    precision: of the matrix products in the encoders. frames: sequences are resized to, None for as they are prepared.
    imported: the digest of weights that `skelray import-weights` put into the store; such a trial has 0 epochs.
    """

    benchmark: str
    protocol: str
    backbone: Backbone
    method: Method
    optimizer: SGD
    stream: str = "joint"
    epochs: int = 300
    batch_size: int = 128
    seed: int = 0
    precision: str = "float32"
    frames: int | None = None
    imported: str | None = None
    monitor: Monitor | None = None
    evaluations: tuple[Evaluation, ...] = ()

    def __post_init__(self) -> None:
        named = self.stream.split("+")
        if unknown := [name for name in named if name not in STREAMS]:
            raise UserError(f"stream {unknown[0]!r} is none of {', '.join(STREAMS)}")
        if len(set(named)) < len(named):
            raise UserError(f"stream {self.stream!r} names one of them twice")
        if self.precision not in PRECISIONS:
            raise UserError(f"precision {self.precision!r} is none of {', '.join(PRECISIONS)}")
        if self.imported is not None and self.epochs:
            raise UserError(f"epochs {self.epochs}: imported weights are evaluated as they are, with epochs=0")
        names(self.evaluations)
        for name, least in (("epochs", 0), ("batch_size", 1), ("frames", 1)):  # no epochs: an untrained encoder
            if name != "frames" or self.frames is not None:
                check_whole(name, getattr(self, name), least)

    def id(self, data: str) -> str:
        """Sixteen hex digits for what decides the encoder at any epoch; data: the fingerprint of the data set.

        How long it trains and what is measured on its end is left out, so that more epochs go on where fewer ended.
        """
        content = canonical(replace(self, epochs=0 if self.imported else 1, evaluations=()))
        if self.imported is None:
            del content["imported"]
        return digest({**content, "data": data})

    def lasting(self, epochs: int) -> Trial:
        """The same schedule stretched to another number of epochs."""
        return replace(self.stretched(epochs / max(1, self.epochs)), epochs=epochs)

    def stretched(self, share: float) -> Trial:
        """The schedule at a share of its length: epochs, milestones and the start of mining move together."""
        method = self.method
        mining = getattr(method, "mining_from", None)
        if mining is not None:
            method = replace(method, mining_from=round(mining * share))  # type: ignore[type-var]
        epochs = max(1, round(self.epochs * share)) if self.epochs else 0  # what trains goes on training
        return replace(self, epochs=epochs, optimizer=self.optimizer.scaled(share), method=method)

    def small(self) -> Trial:
        """A version for demonstrations and tests: short clips and batches, and parts in their own small versions."""
        method, backbone = (smaller(part) for part in (self.method, self.backbone))
        parts = {"method": method, "backbone": backbone, "evaluations": smaller_each(self.evaluations)}
        return replace(self, frames=16, batch_size=32, **parts)


def canonical(value: Any) -> Any:
    """A value as JSON data that is equal exactly where the value means the same.

    Classes and functions from outside skelray, as a study file may define, bring a digest of their source along. A field
    that came later than what is already stored (metadata "later") is left out at its default, so that this keeps its name.
    Raises UserError for what has no such form.
    """
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, (tuple, list)):
        return [canonical(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: canonical(getattr(value, field.name)) for field in fields(value) if not _silent(value, field)}
        return {"type": type(value).__qualname__, **_foreign(type(value)), **content}
    if inspect.isfunction(value):
        return _function(value)
    raise UserError(f"{value!r} cannot be part of a trial: use numbers, strings, tuples, dataclasses and functions")


def _silent(value: Any, field: Field[Any]) -> bool:
    return bool(field.metadata.get("later")) and getattr(value, field.name) == field.default


def _function(function: Any) -> dict[str, Any]:
    """Its name, its source if it is not ours, and the values that make it differ from another of the same source."""
    if function.__name__ == "<lambda>":
        raise UserError("a lambda has no name to tell it by: write it as a function with def")
    closure = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    bound = {name: canonical(cell.cell_contents) for name, cell in closure}
    defaults = [canonical(value) for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())]
    content = {"function": function.__qualname__, **_foreign(function)}
    return content | ({"bound": bound} if bound else {}) | ({"defaults": defaults} if defaults else {})


def _foreign(thing: Any) -> dict[str, str]:
    return {} if thing.__module__.startswith("skelray.") else {"source": source_digest(thing)}


def source_digest(thing: Any) -> str:
    """Sixteen hex digits of a class's or function's source, kept on it: a worker it is sent to has no source file."""
    if "_source_digest" not in vars(thing):
        thing._source_digest = hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()[:16]
    return thing._source_digest


def digest(content: Any) -> str:
    """Sixteen hex digits of canonical content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def changed(trial: Trial, changes: Mapping[str, Any]) -> Trial:
    """The trial with fields changed by name, wherever they live: trial, method, optimizer or backbone.

    Numbers may come as text; a similarity may come by name. Raises UserError for an unknown field, naming those there are.
    """
    for name, value in changes.items():
        if name in _names(trial):
            trial = changed_part(trial, {name: value})
            continue
        for home in ("method", "optimizer", "backbone"):
            part = getattr(trial, home)
            if name in _names(part):
                trial = replace(trial, **{home: changed_part(part, {name: value})})
                break
        else:
            known = sorted({n for p in (trial, trial.method, trial.optimizer, trial.backbone) for n in _names(p)})
            raise UserError(f"no field {name!r} in this trial; it has {', '.join(known)}")
    return trial


def changed_part(part: Any, changes: Mapping[str, Any]) -> Any:
    """A dataclass with fields of its own changed; see ``changed``."""
    optional = {field.name: "None" in str(field.type) for field in fields(part)}
    return replace(
        part, **{name: _coerced(name, getattr(part, name), value, optional[name]) for name, value in changes.items()}
    )


def _names(part: Any) -> list[str]:
    return [field.name for field in fields(part)]


def _coerced(name: str, current: Any, value: Any, optional: bool) -> Any:
    """The value as a field takes it whose value is ``current`` now; text, as a command line gives it, is read as JSON."""
    if inspect.isfunction(current) and isinstance(value, str):
        named = {**SIMILARITIES, "cross_entropy": cross_entropy}  # kl's released form; a search need not try both
        if value not in named:
            raise UserError(f"{name} {value!r} is none of {', '.join(named)}")
        return named[value]
    if isinstance(value, str) and not isinstance(current, str):
        try:
            value = json.loads(value.lower())
        except json.JSONDecodeError:
            raise _unlike(name, current, value) from None
        if is_dataclass(current) and value is None and optional:
            return None
        if is_dataclass(current) or isinstance(value, dict):
            raise UserError(f"{name} cannot be given as text: set its fields, or change it in the study file")
    if isinstance(value, list):
        value = tuple(value)
    if value is None:
        if not optional:
            raise _unlike(name, current, value)
        return None
    if isinstance(current, int) and not isinstance(current, bool) and isinstance(value, float):
        raise UserError(f"{name} {value!r}: a whole number is needed")
    if current is not None and (
        not isinstance(value, _alike(current)) or isinstance(value, bool) != isinstance(current, bool)
    ):
        raise _unlike(name, current, value)
    return value


def _unlike(name: str, current: Any, value: Any) -> UserError:
    return UserError(f"{name} {value!r}: a value like {current!r} is needed")


def _alike(current: Any) -> type | tuple[type, ...]:
    """The types that may stand where this value stands."""
    for kind in (bool, str, tuple):
        if isinstance(current, kind):
            return (tuple, list) if kind is tuple else kind
    if isinstance(current, (int, float)):
        return (int, float)
    return object  # a dataclass or function: any other that works in its place
