"""The canonical form of a study's values, and their digest, the id: equal exactly if the meaning is equal."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable
from dataclasses import is_dataclass
from types import FunctionType, ModuleType
from typing import Any

from skelray.checks import UserError
from skelray.identity.content import KEPT, Content, counted_fields, digest

_loaded: set[str] = set()  # modules whose definitions are complete, so that what they read may be kept


def canonical(value: Any) -> Any:
    """Returns a value as JSON data that is equal exactly if the value means the same.

    Classes and functions from outside skelray, such as a study file's, carry a digest of their source and of all that it
    reads. A field added after results were first stored (metadata "later") is left out at its default, so that stored ids
    stay valid. Raises UserError for a value without such a form.
    """
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, (tuple, list)):
        return [canonical(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: canonical(getattr(value, field.name)) for field in counted_fields(value)}
        return {"type": type(value).__qualname__, **_foreign(type(value)), **content}
    if inspect.isfunction(value):
        return _function(value)
    raise UserError(f"{value!r} cannot be part of a trial: use numbers, strings, tuples, dataclasses and functions")


def _function(function: Any) -> dict[str, Any]:
    """Returns a function's name and what tells it apart from another of the same name."""
    if function.__name__ == "<lambda>":
        raise UserError("a lambda has no name to tell it by: write it as a function with def")
    content = {"function": function.__qualname__, **_foreign(function)}
    if "source" in content:
        return content
    closure = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    bound = {name: canonical(cell.cell_contents) for name, cell in closure}
    defaults = [canonical(value) for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())]
    return content | ({"bound": bound} if bound else {}) | ({"defaults": defaults} if defaults else {})


def _foreign(thing: Any) -> dict[str, str]:
    return {} if thing.__module__.startswith("skelray.") else {"source": source_digest(thing)}


def source_digest(thing: Any) -> str:
    """Returns sixteen hex digits of a class or function and all that it reads. Raises UserError if it cannot be followed."""
    kept = vars(thing).get(KEPT)
    if kept is not None:
        return str(kept)
    try:
        found = digest(Content().form(thing, thing.__qualname__))
    except RecursionError:
        raise UserError(f"{thing.__qualname__} reads what is nested too deeply to be told apart") from None
    if thing.__module__ in _loaded:
        with contextlib.suppress(AttributeError, TypeError):  # a class that takes no attributes
            setattr(thing, KEPT, found)
    return found


def keep_sources(modules: Iterable[ModuleType]) -> None:
    """Stores digests of all that these fully loaded modules define, except what cannot be followed."""
    modules = list(modules)
    _loaded.update(module.__name__ for module in modules)
    for module in modules:
        for thing in list(vars(module).values()):
            if isinstance(thing, (type, FunctionType)) and thing.__module__ == module.__name__:
                with contextlib.suppress(UserError):  # of what no trial has: a trial that has it says so
                    source_digest(thing)


def forget_sources(name: str) -> None:
    """Drops the stored digests of a module that is about to be loaded again."""
    _loaded.discard(name)
