"""What a piece of Python code reads: its source text, the globals it loads, and who owns them."""

from __future__ import annotations

import ast
import dis
import importlib.util
import io
import linecache
import os
import sys
import sysconfig
import tokenize
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

_PACKAGE = os.path.realpath(Path(__file__).parent.parent)
_LIBRARIES = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}  # the latter until Python 3.11


class Reads(NamedTuple):
    """The reads of a function. source: without comments, None if there is none. names: (global, attribute, ...) it loads.

    imports: modules, by name.
    """

    source: str | None
    names: tuple[tuple[str, ...], ...]
    imports: tuple[str, ...]


_known: dict[int, tuple[CodeType, Reads]] = {}  # by identity: equal code objects may come from different files


def read_function(function: FunctionType) -> Reads:
    """Reads a function and all functions inside it, once, so that its file may be edited afterwards."""
    code = function.__code__
    if id(code) not in _known:
        names: set[tuple[str, ...]] = set()
        imports: set[str] = set()
        _collect(code, function.__globals__.get("__package__") or "", names, imports)
        found = Reads(_text(code, function.__globals__), tuple(sorted(names)), tuple(sorted(imports)))
        _known[id(code)] = code, found
    return _known[id(code)][1]


def _collect(code: CodeType, package: str, names: set[tuple[str, ...]], imports: set[str]) -> None:
    instructions = list(dis.get_instructions(code))
    for at, one in enumerate(instructions):
        if one.opname in _GLOBAL:
            chain = [one.argval]
            for later in instructions[at + 1 :]:
                if later.opname not in _ATTRIBUTE:
                    break
                chain.append(later.argval)
            names.add(tuple(chain))
        elif one.opname == "IMPORT_NAME":
            level = instructions[at - 2].argval  # of a relative import, which the interpreter is told this way
            imports.add(importlib.util.resolve_name("." * level + one.argval, package) if level else one.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _collect(constant, package, names, imports)


def _text(code: CodeType, names: dict[str, Any]) -> str | None:
    lines = linecache.getlines(code.co_filename, names)
    found = _definitions("".join(lines)).get((code.co_firstlineno, code.co_name))
    return None if found is None else "\n".join(found)


@lru_cache(maxsize=64)
def _definitions(text: str) -> dict[tuple[int, str], list[str]]:
    """Returns the text of each function of a file, by first line and name; lambdas on one line share the text of all."""
    found: dict[tuple[int, str], list[str]] = {}
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return found
    lines = _without_comments(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found.setdefault((first, node.name), []).append("".join(lines[first - 1 : node.end_lineno]))
        elif isinstance(node, ast.Lambda):
            found.setdefault((node.lineno, "<lambda>"), []).append(ast.get_source_segment(text, node) or "")
    return found


def _without_comments(text: str) -> list[str]:
    """Returns the lines of a file without comments; a line that held only a comment becomes empty, other text is kept."""
    lines = io.StringIO(text).readlines()  # as Python counts them: a form feed or a line separator ends none
    for token in tokenize.generate_tokens(iter(lines).__next__):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            left = lines[row - 1][:column].rstrip()
            lines[row - 1] = f"{left}\n" if left else ""
    return lines


@lru_cache(maxsize=4096)
def owner(file: str) -> str:
    """Returns who owns a source file: skelray, a library (or Python itself), or the user."""
    path = Path(os.path.realpath(file))
    if path.is_relative_to(_PACKAGE):
        return "skelray"
    if file.startswith("<frozen ") or {"site-packages", "dist-packages"} & {*path.parts, *Path(file).parts}:
        return "library"
    return "library" if any(path.is_relative_to(root) for root in _LIBRARIES) else "own"


def owner_of_module(module: ModuleType) -> str:
    """Returns who owns a module; one without a file, as at a prompt, is the user's."""
    if module.__name__.partition(".")[0] == "skelray":
        return "skelray"
    spec, places = getattr(module, "__spec__", None), list(getattr(module, "__path__", ()))
    file = getattr(module, "__file__", None) or (places[0] if places else None)
    if file is not None:
        return owner(str(file))
    return "library" if spec is not None and spec.origin in ("built-in", "frozen") else "own"


def owner_of_name(name: str) -> str:
    """Returns who owns what is defined in the module of this name."""
    if name.partition(".")[0] == "skelray":
        return "skelray"
    module = sys.modules.get(name)
    return "own" if module is None else owner_of_module(module)


def owner_of_import(name: str) -> str:
    """Returns who would own the top-level module of this name, "none" if there is none. Imports nothing."""
    if name in sys.modules:
        return owner_of_module(sys.modules[name])
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin in ("built-in", "frozen"):
        return "none" if spec is None else "library"
    return owner(spec.origin or next(iter(spec.submodule_search_locations or [""])))
