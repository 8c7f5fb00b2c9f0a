"""All that code outside skelray reads, followed to the end: source, globals, helpers, closures, defaults, bases.

Code in a user's own files counts by its source and by all that it reads in turn, constants by value, and code of skelray
and of libraries by name alone.
"""

from __future__ import annotations

import builtins
import copyreg
import enum
import functools
import hashlib
import importlib
import inspect
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from skelray.checks import UserError
from skelray.identity.reads import owner, owner_of_import, owner_of_module, owner_of_name, read_function

KEPT = "_source_digest"  # on a class or function whose file was loaded: a worker that it is sent to has no source
_ESCAPES = (eval, exec, compile, globals, __import__, importlib.import_module, sys._getframe, sys.modules)

_PLAIN = (bytes, bytearray, complex, range, type(...), type(NotImplemented), np.dtype, torch.dtype, torch.device)
_DRAWN = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
_NAMED = tuple({type(x) for x in (list.append, int.__add__, (1).__add__, type.__dict__["__mro__"], int.__dict__["real"])})
_ATTRIBUTES = {  # of a class, that say nothing about what it does or that its fields say
    *("__slotnames__",),  # which copying or pickling an instance leaves on its class
    *("__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "__annotate__", "__annotate_func__"),
    *("__annotations_cache__", "__firstlineno__", "__static_attributes__", "__type_params__", "__orig_bases__"),
    *("__parameters__", "__abstractmethods__", "_abc_impl", "__dataclass_fields__", "__match_args__", KEPT),
}
_GLOBALS = {"__file__", "__name__", "__spec__", "__loader__", "__package__", "__builtins__", "__cached__", "__path__"}


def digest(content: Any) -> str:
    """Returns sixteen hex digits of JSON content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def counted_fields(value: Any) -> Iterator[Field[Any]]:
    """Yields the fields of a dataclass that count: those added later (metadata "later") only if not at their default."""
    for field in fields(value):
        if not field.metadata.get("later") or getattr(value, field.name) != field.default:
            yield field


class Content:
    """One walk from a class or function over all that it reads. ``form`` returns JSON data, equal if the content is."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}  # functions, classes and modules, in the order in which they are met
        self.alive: list[Any] = []  # so that no identity is given twice
        self.open: list[int] = []  # containers on the way here, which may hold themselves
        self.trail: list[str] = []

    def form(self, value: Any, name: str) -> Any:
        """Returns a value's form; name: what the code that reads the value calls it."""
        self.trail.append(name)
        found = self._form(value)
        self.trail.pop()
        return found

    def _form(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if any(value is escape for escape in _ESCAPES):
            raise self.refusal("a way to read anything, unseen")
        if isinstance(value, _PLAIN):
            return [kind.__name__, repr(value)]
        if isinstance(value, enum.Enum):
            return ["enum", self._form(kind), value.name]
        if isinstance(value, PurePath):
            return ["path", str(value)]
        if (kind in (np.ndarray, np.memmap) or isinstance(value, np.generic)) and not value.dtype.hasobject:
            return ["array", str(value.dtype), list(value.shape), _hash(np.ascontiguousarray(value).tobytes())]
        if isinstance(value, torch.Tensor):
            return ["tensor", str(value.dtype), list(value.shape), self._tensor(value)]
        if isinstance(value, _DRAWN):
            raise self.refusal(f"a {kind.__name__}, which draws something else each time: draw from the view's own draws")
        if isinstance(value, (FunctionType, type, ModuleType)):
            return self._definition(value)
        if isinstance(value, MethodType):
            return ["method", self._form(value.__func__), self._form(value.__self__)]
        if isinstance(value, BuiltinFunctionType):
            of = value.__self__
            return ["builtin", value.__qualname__, None if isinstance(of, ModuleType) else self._form(of)]
        if isinstance(value, _NAMED):
            return ["builtin", value.__qualname__]
        if id(value) in self.open:
            return ["again", len(self.open) - self.open.index(id(value))]
        self.open.append(id(value))
        self.alive.append(value)
        found = self._container(value)
        self.open.pop()
        return found

    def _tensor(self, value: torch.Tensor) -> str:
        try:
            plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
            return _hash(plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
        except (RuntimeError, TypeError, NotImplementedError):  # quantised, sparse, on no device
            raise self.refusal(
                f"a tensor of layout {value.layout} on {value.device}, whose numbers cannot be read"
            ) from None

    def _container(self, value: Any) -> Any:
        kind = type(value)
        if kind in (tuple, list):
            return [kind.__name__, *(self._form(item) for item in value)]
        if kind in (dict, MappingProxyType):
            return ["dict", *([self._form(key), self.form(item, _short(key))] for key, item in value.items())]
        if kind in (set, frozenset):
            return ["set", *sorted(digest(self._apart(item)) for item in value)]
        if isinstance(value, (staticmethod, classmethod)):
            return [kind.__name__, self._form(value.__func__)]
        if isinstance(value, property):
            return ["property", *(self._form(part) for part in (value.fget, value.fset, value.fdel))]
        if isinstance(value, functools.cached_property):
            return ["property", self._form(value.func)]
        if isinstance(value, functools._lru_cache_wrapper):
            return ["cache", self._form(value.__wrapped__)]
        if is_dataclass(value):
            told = {field.name: self.form(getattr(value, field.name), field.name) for field in counted_fields(value)}
            more = {} if owner_of_name(kind.__module__) != "own" else getattr(value, "__dict__", {})
            more = {name: self.form(more[name], name) for name in sorted(set(more) - {f.name for f in fields(value)})}
            return ["instance", self._form(kind), told, more]
        return self._instance(value)

    def _apart(self, item: Any) -> Any:
        """Walks an item of a set on its own, as sets have no order; whatever the walk is inside of stays open."""
        walk = Content()
        walk.open, walk.alive, walk.trail = self.open, self.alive, self.trail
        return walk._form(item)

    def _instance(self, value: Any) -> Any:
        """Describes any other object by the state that pickling would keep."""
        kind = type(value)
        named = f"{kind.__module__}.{kind.__qualname__}"
        if owner_of_name(kind.__module__) == "library":
            for module in (kind.__module__, "sys"):  # os.environ, sys.stderr
                if name := next((n for n, v in vars(sys.modules[module]).items() if v is value), None):
                    return ["library", f"{module}.{name}"]
        try:
            known = copyreg.dispatch_table.get(kind)
            parts = value.__reduce_ex__(4) if known is None else known(value)
            rest = [parts] if isinstance(parts, str) else [*parts[:3], *(list(p) for p in parts[3:5] if p is not None)]
        except RecursionError:
            raise
        except Exception:
            raise self.refusal(f"a {named}, of which nothing tells what it holds") from None
        return ["instance", named if isinstance(parts, str) else "", *(self._form(part) for part in rest)]

    def _definition(self, thing: Any) -> Any:
        if id(thing) in self.seen:
            return ["again", self.seen[id(thing)]]
        if isinstance(thing, FunctionType):
            whose = owner(thing.__code__.co_filename)
            if owner_of_name(thing.__module__ or "") == "own":
                whose = "wrapped" if whose != "own" else whose
        else:
            whose = owner_of_module(thing) if isinstance(thing, ModuleType) else owner_of_name(thing.__module__)
        name = thing.__name__ if isinstance(thing, ModuleType) else thing.__qualname__
        if whose == "skelray" and not _holds(thing):
            return ["skelray", name]
        if whose == "library" and not _holds(thing):
            return ["library", getattr(thing, "__module__", ""), name]
        self.seen[id(thing)] = len(self.seen)
        self.alive.append(thing)
        if isinstance(thing, ModuleType):
            return ["module", self._names(vars(thing), _GLOBALS | {"__doc__"})]
        if isinstance(thing, type):
            return self._class(thing)
        return self._function(thing, followed=whose == "own")

    def _names(self, space: Any, but: set[str]) -> dict[str, Any]:
        return {name: self.form(space[name], name) for name in sorted(set(space) - but)}

    def _class(self, cls: type) -> Any:
        made = {name for name, value in vars(cls).items() if _generated(cls, name, value)}
        content = self._names(vars(cls), _ATTRIBUTES | made)
        if is_dataclass(cls):
            content["fields"] = [[f.name, self._field(f)] for f in fields(cls)]
        bases = [self._form(base) for base in cls.__bases__]
        return ["class", cls.__qualname__, bases, None if type(cls) is type else self._form(type(cls)), content]

    def _field(self, field: Field[Any]) -> Any:
        parts = {"default": field.default, "factory": field.default_factory, "metadata": dict(field.metadata)}
        return {name: self.form(part, field.name) for name, part in parts.items() if part is not MISSING}

    def _function(self, function: FunctionType, followed: bool) -> Any:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        held = {name: self.form(cell.cell_contents, name) for name, cell in cells if _filled(cell)}
        defaults = [self._form(function.__defaults__), self._form(function.__kwdefaults__)]
        more = self._names(vars(function), {KEPT})
        content = ["function", function.__qualname__, held, defaults, more]
        if not followed:  # a library's wrapper around a function of the user's
            return content
        found = read_function(function)
        if found.source is None:
            raise self.refusal("a function whose source is in no file: a change of it would go unnoticed")
        loads = {".".join(chain): self._loaded(function.__globals__, chain) for chain in found.names}
        imports = {name: self._imported(name) for name in found.imports}
        return [*content, found.source, {name: form for name, form in loads.items() if form is not None}, imports]

    def _loaded(self, space: dict[str, Any], chain: tuple[str, ...]) -> Any:
        """Returns the form of a global, or of an attribute of a module that is one; None if it does not count."""
        name, *attributes = chain
        if name in _GLOBALS:
            return None
        value, way, named = space.get(name, getattr(builtins, name, None)), name, name not in space
        while isinstance(value, ModuleType) and attributes:
            named = named or owner_of_module(value) == "library"
            way += f".{attributes[0]}"
            value = getattr(value, attributes.pop(0), None)
        if named and not any(value is escape for escape in _ESCAPES):
            return None  # a builtin, a library's, or what is not there: the source names it
        return self.form(value, way)

    def _imported(self, name: str) -> Any:
        """Returns the form of a user's module that a function imports, with the packages around it."""
        parts, found = name.split("."), []
        for count in range(1, len(parts) + 1):
            try:
                if owner_of_import(parts[0]) != "own":
                    return None
                module = importlib.import_module(".".join(parts[:count]))
            except ImportError:  # which the function may expect
                return None
            found.append(self.form(module, module.__name__))
        return found

    def refusal(self, what: str) -> UserError:
        thing, *way = dict.fromkeys(self.trail)
        read = f"it reads {', '.join(way)}, which is" if way else "it is"
        return UserError(f"{thing} cannot be part of a trial: {read} {what}")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _short(key: Any) -> str:
    return key if isinstance(key, str) else type(key).__name__


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _holds(thing: Any) -> bool:
    """Returns whether a call made this function of a library or skelray, so that it may hold the call's arguments."""
    if not isinstance(thing, FunctionType) or not thing.__closure__:
        return False
    found: Any = sys.modules.get(thing.__module__)
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return getattr(found, "__func__", found) is not thing


def _generated(cls: type, name: str, value: Any) -> bool:
    """Returns whether a dataclass or named tuple generated the method from its fields, which count already."""
    function = getattr(value, "__func__", value)
    code = getattr(inspect.unwrap(function) if inspect.isfunction(function) else None, "__code__", None)
    made = is_dataclass(cls) or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    return made and code is not None and code.co_filename.startswith("<") and name.startswith("__")
