"""Trials written as Python: the result of a search as a study file that measures it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from skelray import papers
from skelray.augment import AugmentationSet
from skelray.checks import UserError, quote_value
from skelray.identity.canonical import canonical
from skelray.study.changes import PARTS, Path, field_path, leaves, value_at
from skelray.trial import Trial

WIDTH = 100  # of a line, beyond which arguments stand one below the other
STUDY = "skelray_study_"  # how modules of study files are called, which import by their stem
UNCHANGED = ("benchmark", "protocol", "evaluations")  # fields that ``leaves`` leaves out, but for seed and monitor


def study_source(base: Trial, baseline: str, best: Trial, label: str, says: str) -> str:
    """Returns a study file of two arms, ``base`` as ``baseline`` and ``best`` as ``label``, or of one if they are equal.

    says: the first line of its docstring. Raises UserError for a part that cannot be imported by name.
    """
    written = Written()
    trial, ablation, arm = written.trial(base), written.use("skelray", "Ablation"), written.use("skelray", "Arm")
    changes = [f"{_quoted(name)}: {written.value(value)}" for name, value in differences(base, best).items()]
    arms = [f"{arm}({_quoted(baseline)})"] if changes else []
    arms += [_broken(f"{arm}(", [_quoted(label), *([_broken("{", changes, "}")] if changes else [])], ")")]
    study = _broken(f"{ablation}(", ["base=base", "seeds=range(3)", f"arms={_broken('[', arms, ']')}"], ")")
    return f'"""{says}"""\n\n{written.imports()}\n\nbase = {trial}\n\nstudy = {study}\n'


def differences(base: Trial, other: Trial) -> dict[str, Any]:
    """Returns what turns one trial into the other, as an arm's changes: fields by name, a part of another class whole."""
    before, after = leaves(base), leaves(other)
    differ = [path for path in after if before.get(path) != after[path]]
    whole = [part for part in PARTS if (part, "type") in differ]
    changes = {part: getattr(other, part) for part in whole}
    changes |= {_name(base, path): value_at(other, path) for path in differ if path[0] not in whole}
    kept = {name: getattr(other, name) for name in UNCHANGED}
    return changes | {n: v for n, v in kept.items() if v != getattr(base, n)}


def _name(trial: Trial, path: Path) -> str:
    """Returns the shortest unambiguous name of a field, without its part if possible."""
    try:
        return path[-1] if field_path(trial, path[-1]) == path else ".".join(path)
    except UserError:
        return ".".join(path)


def nearest_published(trial: Trial) -> tuple[str, Trial]:
    """Returns the published setting with the fewest differences, of the same method if there is one, and its name."""
    known = {name: one for name, one in vars(papers).items() if isinstance(one, Trial) and name.isupper()}
    name = min(known, key=lambda n: (type(known[n].method) is not type(trial.method), len(_differing(known[n], trial))))
    return name, known[name]


class Written:
    """Values written as Python, and the imports that they need."""

    def __init__(self) -> None:
        self._used: dict[str, set[str]] = {}

    def imports(self) -> str:
        """Returns the import lines, dataclasses first and a study's own module last."""
        ranks = {"dataclasses": 0}
        order = sorted(self._used, key=lambda home: (ranks.get(home, 1 if home.startswith("skelray") else 2), home))
        lines = [f"from {home} import {', '.join(sorted(self._used[home]))}" for home in order]
        return "\n".join([*lines[:1], *([""] if "dataclasses" in self._used and len(lines) > 1 else []), *lines[1:]])

    def use(self, home: str, name: str) -> str:
        self._used.setdefault(home, set()).add(name)
        return name

    def trial(self, trial: Trial) -> str:
        """Returns a trial as changes of the nearest published setting."""
        name, known = nearest_published(trial)
        constant = f"{self.use('skelray', 'papers')}.{name}"
        if not (changed := _differing(known, trial)):
            return constant
        replace = self.use("dataclasses", "replace")
        return _broken(f"{replace}(", [constant, *(f"{name}={self.value(getattr(trial, name))}" for name in changed)], ")")

    def value(self, value: Any) -> str:
        """Returns a value as an expression. Raises UserError if it has none."""
        if value is None or isinstance(value, (bool, int, float, str)):
            return _quoted(value) if isinstance(value, str) else repr(value)
        if isinstance(value, (tuple, list)):
            items = [self.value(item) for item in value]
            return _broken("(", items, ",)" if len(items) == 1 else ")")
        if (known := self._constant(value)) is not None:
            return known
        if is_dataclass(value) and not isinstance(value, type):
            if isinstance(value, AugmentationSet) and (merge := self._merge(value)):
                return merge
            own = [f for f in fields(value) if f.init and not _is_default(f, getattr(value, f.name))]
            return _broken(
                f"{self._named(type(value))}(", [f"{f.name}={self.value(getattr(value, f.name))}" for f in own], ")"
            )
        if inspect.isfunction(value) or isinstance(value, type):
            return self._named(value)
        raise UserError(
            f"{quote_value(value)} cannot be written as Python: use numbers, text, tuples, dataclasses and functions"
        )

    def _named(self, thing: Any) -> str:
        """Returns the name by which a class or function is imported."""
        name, module = thing.__qualname__, thing.__module__
        home = ".".join(module.split(".")[:2])
        if getattr(sys.modules.get(home), name, None) is thing:
            return self.use(home.removeprefix(STUDY), name)
        if getattr(sys.modules.get(module), name, None) is thing:
            return self.use(module.removeprefix(STUDY), name)
        raise UserError(f"{name} of {module} cannot be imported: define it at the head of the study file")

    def _constant(self, value: Any) -> str | None:
        """Returns an equal constant in the module of the value's class, such as BA beside AugmentationSet."""
        home = ".".join(type(value).__module__.split(".")[:2])
        for name in _public(home):
            one = getattr(sys.modules[home], name)
            if type(one) is type(value) and is_dataclass(one) and one == value:
                return self.use(home, name)
        return None

    def _merge(self, whole: AugmentationSet) -> str | None:
        """Returns a merge of known sets, as NA + Mask."""
        home = "skelray.augment"
        sets = {
            one.name: (name, one)
            for name in _public(home)
            if isinstance(one := vars(sys.modules[home])[name], AugmentationSet)
        }
        parts = [sets.get(name) for name in whole.name.split("+")]
        if len(parts) < 2 or any(part is None for part in parts):
            return None
        known = [part for part in parts if part is not None]
        if canonical([a for _, one in known for a in one.augmentations]) != canonical(list(whole.augmentations)):
            return None
        return " + ".join(self.use(home, name) for name, _ in known)


def _public(home: str) -> Iterable[str]:
    return getattr(sys.modules.get(home), "__all__", ())


def _differing(one: Trial, other: Trial) -> list[str]:
    names = [field.name for field in fields(Trial)]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def _is_default(field: Any, value: Any) -> bool:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return default is not MISSING and bool(default == value)


def _quoted(text: str) -> str:
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def _broken(opening: str, items: list[str], closing: str) -> str:
    """Joins items in brackets on one line if they fit, else one below the other."""
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    inner = ",\n".join(items).replace("\n", "\n    ")
    return f"{opening}\n    {inner},\n{closing.lstrip(',')}"
