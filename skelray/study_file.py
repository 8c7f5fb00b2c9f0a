"""Loading a study file, and saying in one sentence what is wrong with it."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType

from skelray.study import Ablation, Study, Sweep
from skelray.trial import source_digest


class StudyError(ValueError):
    """A study file cannot be used; one sentence with the line."""


def load_study(path: Path) -> tuple[str, Study, ModuleType]:
    """The study's name (of the file), the study, and its module. Raises StudyError."""
    if not path.is_file():
        raise StudyError(f"there is no study file {path}")
    name = path.stem
    spec = importlib.util.spec_from_file_location(f"skelray_study_{name}", path)
    if spec is None or spec.loader is None:
        raise StudyError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that its classes and functions find their source
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise StudyError(_sentence(path, error)) from error
    for thing in vars(module).values():
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == module.__name__:
            source_digest(thing)
    study = getattr(module, "study", None)
    if not isinstance(study, (Ablation, Sweep)):
        raise StudyError(f"{path} names no study: it needs a line `study = Ablation(...)` or `study = Sweep(...)`")
    return name, study, module


def _sentence(path: Path, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{path}, line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    place = f", line {lines[-1]}" if lines else ""
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return f"{path}{place}: {kind}{error}"
