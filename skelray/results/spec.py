"""Makes a trial again of the spec that tables and the store keep of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from skelray import augment, backbones, evaluation, methods, trial
from skelray.augment import basic, extreme, hico, normal, streams, strong
from skelray.backbones import sequence
from skelray.checks import UserError
from skelray.identity.canonical import canonical
from skelray.methods import similarity
from skelray.trial import Trial

BESIDE = ("search",)  # what a table keeps in a spec beside the trial
HOMES = (trial, evaluation, methods, similarity, backbones, sequence, augment, basic, normal, extreme, strong, hico, streams)


def trial_of(spec: Mapping[str, Any], beside: ModuleType | None = None) -> Trial:
    """Returns the trial whose canonical form is ``spec``.

    What the spec lacks came later and is at its default. beside: the module of the study file that defines what is not of
    skelray. Raises UserError where a part is not to be found, has other fields now, or is defined otherwise than it was.
    """
    names = {**_own(), **(vars(beside) if beside else {})}
    spec = {name: value for name, value in spec.items() if name not in BESIDE}
    made = _made(spec, names)
    if not isinstance(made, Trial):
        raise UserError(f"the spec is of a {type(made).__name__} and not of a trial")
    if difference := _difference(spec, canonical(made)):
        raise UserError(f"the spec is not that of a trial of this code: {difference}")
    return made


@cache
def _own() -> dict[str, Any]:
    """Returns skelray's own classes and functions, of which trials are made, by name."""
    found: dict[str, Any] = {}
    for home in HOMES:
        for name, thing in vars(home).items():
            if str(getattr(thing, "__module__", "")).startswith("skelray."):
                found.setdefault(name, thing)
    return found


def _made(form: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(form, list):
        return tuple(_made(item, names) for item in form)
    if not isinstance(form, Mapping):
        return form
    name = str(form.get("type", form.get("function", "")))
    if name not in names:
        where = "; name the study file that defines it" if "source" in form else ""
        raise UserError(f"the spec has a part {name!r}, which this code does not have{where}")
    if "type" not in form:
        return names[name]
    fields = {key: _made(value, names) for key, value in form.items() if key not in ("type", "source")}
    try:
        return names[name](**fields)
    except TypeError as error:
        raise UserError(f"the spec's {name} has other fields than today's: {error}") from error


def _difference(spec: Any, now: Any, at: str = "trial") -> str:
    """Returns the name of the first place that differs; a field that the spec lacks came later and is at its default."""
    if isinstance(spec, Mapping) and isinstance(now, Mapping):
        return next(filter(None, (_difference(value, now.get(key), f"{at}.{key}") for key, value in spec.items())), "")
    if isinstance(spec, list) and isinstance(now, list) and len(spec) == len(now):
        pairs = enumerate(zip(spec, now, strict=True))
        return next(filter(None, (_difference(*pair, f"{at}[{number}]") for number, pair in pairs)), "")
    return "" if spec == now else f"{at} is {spec!r} in the spec and {now!r} here"
