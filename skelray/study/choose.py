"""A choice between values of any kind, by readable labels, in the space of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from skelray.checks import UserError, check_label, quote_value
from skelray.identity.canonical import canonical, digest

T = TypeVar("T")


def choose(trial: Any, name: str, choices: Mapping[str, T]) -> T:
    """Lets a sweep choose one of these values: arrangements, similarities, backbones, or any other part of a trial.

    trial: the argument of ``space``. name: the parameter's. choices: values by label, which the ledger, tables and
    ``published`` use. Raises UserError for unreadable labels and for two labels of one value, which would be searched twice.
    """
    if not isinstance(choices, Mapping) or not choices:
        raise UserError(
            f"choose({name!r}) of {quote_value(choices)}: values by label are needed, as in {{'BA, NA': (BA, NA)}}"
        )
    labels: dict[str, str] = {}
    for label, value in choices.items():
        check_label(f"a choice of {name}", label)
        other = labels.setdefault(digest(canonical(value)), label)
        if other != label:
            raise UserError(f"choices {other!r} and {label!r} of {name} are the same value: leave one of them out")
    return choices[trial.suggest_categorical(name, list(choices))]
