"""Class names stated by the files themselves, instead of a list that names classes by number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelray.data.benchmark import LeftOut
from skelray.data.stored import DataError

AGREE = 0.9  # of the labels: with so many that are called as in a list, the list holds, and the others are errors
MOST_CLASSES = 100_000
LISTS = ("classes", "class_names", "label_names", "categories")  # what files of arrays call a list of their classes


@dataclass(frozen=True)
class StatedLabel:
    """The label that a file states for a recording: the number of its class, its name, or both."""

    index: int | None
    text: str = ""

    def class_number(self, classes: tuple[str, ...]) -> int:
        """Returns the number of the class, looked up by name if only that is stated. Raises LeftOut for an unknown class."""
        if self.index is not None:
            return self.index
        for number, name in enumerate(classes):
            if is_same_name(name, self.text):
                return number
        raise LeftOut("its label is no class")


def stated_label(entry: Mapping[str, Any]) -> StatedLabel | None:
    """Returns ``label_index`` and ``label`` of an entry; None if it has neither."""
    index, text = entry.get("label_index"), entry.get("label")
    index = index if isinstance(index, int) and not isinstance(index, bool) else None
    text = text.strip() if isinstance(text, str) else ""
    return StatedLabel(index, text) if text or index is not None else None


def stated_labels(values: object) -> tuple[StatedLabel, ...]:
    """Returns the labels of a list of names, numbered by position; none if it is no such list."""
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(listed, (list, tuple)) or not all(isinstance(name, str) for name in listed):
        return ()
    return tuple(StatedLabel(number, name) for number, name in enumerate(listed))


def is_same_name(one: str, other: str) -> bool:
    """Returns whether two names are equal up to letter case, blanks and punctuation."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold())) or name


def class_names(stated: Iterable[tuple[StatedLabel, str]], known: tuple[str, ...]) -> tuple[str, ...] | None:
    """Returns the names of classes, by number; None if they agree with the list ``known`` or there are none.

    stated: labels, and where each stands. Unnamed numbers between named ones become "class 3" and the like. Labels without
    numbers are numbered in the order of their names.

    Raises DataError if one number has two names or one name two numbers.
    """
    names: dict[int, dict[str, tuple[str, str]]] = {}
    unnumbered: dict[str, str] = {}
    count = agreeing = 0
    listed = set(map(_plain, known))
    for one, where in stated:
        if not one.text:
            continue
        count += 1
        if one.index is None:
            unnumbered.setdefault(_plain(one.text), one.text)
            agreeing += _plain(one.text) in listed
        elif 0 <= one.index < MOST_CLASSES:
            names.setdefault(one.index, {}).setdefault(_plain(one.text), (one.text, where))
            agreeing += one.index < len(known) and is_same_name(known[one.index], one.text)
    if agreeing >= AGREE * count:
        return None
    return _numbered(names) if names else tuple(sorted(unnumbered.values()))


def _numbered(names: Mapping[int, Mapping[str, tuple[str, str]]]) -> tuple[str, ...]:
    numbers: dict[str, int] = {}
    for number, called in sorted(names.items()):
        if len(called) > 1:
            (one, here), (other, there) = list(called.values())[:2]
            raise DataError(
                f"the class {number} is called {one!r} in {here} and {other!r} in {there}: give each class a number of its "
                "own, or prepare them apart"
            )
        ((plain, (text, _)),) = called.items()
        if plain in numbers:
            raise DataError(
                f"the classes {numbers[plain]} and {number} are both called {text!r}: give each class a name of its own"
            )
        numbers[plain] = number
    return tuple(
        next(iter(names[number].values()))[0] if number in names else placeholder_name(number)
        for number in range(max(names) + 1)
    )


def placeholder_name(number: int) -> str:
    """Returns the name of a class that has a number alone."""
    return f"class {number}"


def named_classes(classes: Iterable[str]) -> list[str]:
    """Returns the classes that have a name of their own."""
    return [name for number, name in enumerate(classes) if name != placeholder_name(number)]
