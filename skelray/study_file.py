"""Loading a study file, and saying in one sentence what is wrong with it."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from skelray.checks import UserError
from skelray.fusion import Fusion, Study
from skelray.scale import Scale
from skelray.study import Ablation, Sweep
from skelray.trial import Trial, canonical, source_digest


class StudyError(UserError):
    """A study file cannot be used; one sentence with the line."""


def load_study(path: Path) -> tuple[str, Study, ModuleType]:
    """The study's name (of the file), the study, and its module. Raises StudyError."""
    if not path.is_file():
        raise StudyError(f"there is no study file {path}")
    name = path.stem
    spec = importlib.util.spec_from_file_location(f"skelray_study_{name}", path.absolute())
    if spec is None or spec.loader is None:
        raise StudyError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that its classes and functions find their source
    with pointing_at(path):
        spec.loader.exec_module(module)
    _keep_sources(module)
    study = getattr(module, "study", None)
    if not isinstance(study, (Ablation, Sweep, Fusion)):
        raise StudyError(f"{path} names no study: it needs a line `study = Ablation(...)`, `Sweep(...)` or `Fusion(...)`")
    if isinstance(study, Sweep):
        _check_sweep(path, study)
    if isinstance(study, Fusion):
        from skelray import weights  # brings Optuna

        with pointing_at(path):
            weights.example(study)
    return name, study, module


@contextmanager
def pointing_at(path: Path) -> Iterator[None]:
    """An error on whose way the study file's own code lies becomes a StudyError that names the line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path.absolute())]
        if isinstance(error, StudyError) or not (lines or isinstance(error, SyntaxError)):
            raise
        raise StudyError(_sentence(path, error, lines)) from error


def _sentence(path: Path, error: BaseException, lines: list[int | None]) -> str:
    if isinstance(error, SyntaxError) and error.filename in (None, str(path.absolute())):
        return f"{path}, line {error.lineno}: {error.msg}"
    if isinstance(error, SystemExit):
        return f"{path}, line {lines[-1]}: a study file does not end the program, as this one does (status {error.code})"
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return f"{path}, line {lines[-1]}: {kind}{error}"


def _keep_sources(module: ModuleType) -> None:
    """Digests of all that the file defines, taken here: a worker has no source file."""
    for thing in vars(module).values():
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == module.__name__:
            with suppress(OSError, TypeError):  # made by a call, as namedtuple makes a class; no trial is named by it
                source_digest(thing)


def _check_sweep(path: Path, sweep: Sweep) -> None:
    """Asks ``space`` for one trial."""
    from skelray.search import example  # brings Optuna

    if sweep.samples < 1:
        raise StudyError(f"{path}: samples is {sweep.samples}, so the sweep has no trial; it needs at least one")

    def space(suggest: Any) -> Trial:
        found = sweep.space(suggest)
        if not isinstance(found, Trial):
            line = inspect.getsourcelines(sweep.space)[1]
            raise StudyError(f"{path}, line {line}: space() returns {found!r}, not a Trial; is its `return` missing?")
        return found

    with pointing_at(path):
        trial = example(replace(sweep, space=space), Scale())
    try:
        canonical(trial)
    except (ValueError, OSError, TypeError) as error:
        raise StudyError(f"{path}: a trial of space() has no id: {error}") from error
