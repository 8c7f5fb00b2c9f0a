"""A choice in the space of a sweep between values of any kind, under labels that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from skelray.checks import UserError, check_label, shown
from skelray.identity.canonical import canonical, digest

T = TypeVar("T")


def choose(trial: Any, name: str, choices: Mapping[str, T]) -> T:
    """Lets a sweep choose one of these values: arrangements, similarities, backbones, whatever a trial is made of.

    trial: what the space was given. name: the parameter's. choices: values by label; the label stands in the ledger, in
    tables and in ``published``. Raises UserError for labels that cannot be read and for two labels of one value, which
    would be searched twice.
    """
    if not isinstance(choices, Mapping) or not choices:
        raise UserError(f"choose({name!r}) of {shown(choices)}: values by label are needed, as in {{'BA, NA': (BA, NA)}}")
    labels: dict[str, str] = {}
    for label, value in choices.items():
        check_label(f"a choice of {name}", label)
        other = labels.setdefault(digest(canonical(value)), label)
        if other != label:
            raise UserError(f"choices {other!r} and {label!r} of {name} are the same value: leave one of them out")
    return choices[trial.suggest_categorical(name, list(choices))]
