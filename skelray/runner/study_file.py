"""Loading a study file, and saying in one sentence what is wrong with it."""

from __future__ import annotations

import importlib.util
import io
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from skelray.checks import UserError
from skelray.identity.canonical import forget_sources, keep_sources
from skelray.identity.reads import owner
from skelray.runner.kinds import trials_of
from skelray.study.study import Study


class StudyError(UserError):
    """A study file cannot be used; one sentence with the line."""


_beside: list[str] = []  # modules that the last study file imported from its folder
_searched: list[str] = []  # that folder, where this put it among the places where imports are looked for


class _Fresh(SourceFileLoader):
    """Compiles a study file as it is now: a compiled copy is told apart by whole seconds."""

    def get_code(self, fullname: str) -> CodeType:
        content = self.get_data(self.path)
        lines = io.StringIO(importlib.util.decode_source(content)).readlines()
        linecache.cache[self.path] = (len(content), None, lines, self.path)  # what runs, even if the file is edited
        return self.source_to_code(content, self.path)


def load_study(path: Path) -> tuple[str, Study, ModuleType]:
    """Loads a study's file: its name, the study, and its module. Raises StudyError.

    The file may import modules that lie beside it.
    """
    if not path.is_file():
        raise StudyError(f"there is no study file {path}")
    module = load_module(path)
    study = getattr(module, "study", None)
    if not isinstance(study, Study) or isinstance(study, type):
        raise StudyError(f"{path} names no study: it needs a line `study = Ablation(...)`, `Sweep(...)` or `Fusion(...)`")
    try:
        with blaming_study_file(path):
            trials_of(study)
    except StudyError:
        raise
    except UserError as error:
        raise StudyError(str(error) if path.name in str(error) else f"{path}: {error}") from error
    return path.stem, study, module


def load_module(path: Path) -> ModuleType:
    """Loads the study's module, and anew what it imports from beside it, and digests what their definitions read."""
    name, file, folder = f"skelray_study_{path.stem}", str(path.absolute()), str(path.absolute().parent)
    for earlier in [name, *_beside]:
        linecache.cache.pop(str(getattr(sys.modules.pop(earlier, None), "__file__", "")), None)
        forget_sources(earlier)
    _search_last(folder)
    loader = _Fresh(name, file)
    module = importlib.util.module_from_spec(ModuleSpec(name, loader, origin=file))
    module.__file__ = file
    sys.modules[name] = module  # so that its classes and functions find their source
    known, writes = set(sys.modules), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        with blaming_study_file(path):
            loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
        _beside[:] = [n for n, m in list(sys.modules.items()) if n not in known and _lies_in(m, Path(folder))]
    keep_sources([module, *modules_beside()])
    return module


def modules_beside() -> list[ModuleType]:
    """Returns what the last study file imported from its own folder, which no other machine has."""
    return [sys.modules[name] for name in _beside if name in sys.modules]


def _search_last(folder: str) -> None:
    """Imports are looked for in this folder too, last, so that a file there hides nothing that is installed."""
    for earlier in _searched:
        if earlier in sys.path:
            sys.path.remove(earlier)
    _searched[:] = [] if folder in sys.path else [folder]
    sys.path += _searched
    importlib.invalidate_caches()


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and owner(file) == "own" and Path(file).absolute().is_relative_to(folder)


@contextmanager
def blaming_study_file(path: Path) -> Iterator[None]:
    """Turns an error that passes through the study file's own code into a StudyError that names the line."""
    try:
        yield
    except (Exception, SystemExit, GeneratorExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path.absolute())]
        if isinstance(error, StudyError) or not (lines or isinstance(error, SyntaxError)):
            raise
        told = StudyError(_sentence(path, error, lines))
        told.unexpected = not isinstance(error, (UserError, SyntaxError, SystemExit))
        raise told from error


def _sentence(path: Path, error: BaseException, lines: list[int | None]) -> str:
    if isinstance(error, SyntaxError) and error.filename in (None, str(path.absolute())):
        return f"{path}, line {error.lineno}: {error.msg}"
    if isinstance(error, SystemExit):
        return f"{path}, line {lines[-1]}: a study file does not end the program, as this one does (status {error.code})"
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return f"{path}, line {lines[-1]}: {kind}{error}"
