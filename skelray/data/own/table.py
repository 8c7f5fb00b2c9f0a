"""People's own data: a CSV or Parquet table of joints, and a TOML file that names it and describes its skeleton.

docs/your_data.md is the page for its users. The table is read in batches: in memory are one batch and one sequence.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from skelray.data.benchmark import Benchmark, Key, Split
from skelray.data.formats.text import decode
from skelray.data.own.cells import normalised
from skelray.data.own.labels import Keys, Labels, some
from skelray.data.own.rows import ABOUT, UNSAID, Columns, TableReader, different_cells, number_of
from skelray.data.own.starter import TABLE, undescribed
from skelray.data.stored import DataError
from skelray.skeleton import Skeleton

NAME = re.compile(r"[A-Za-z][\w-]*")
MOST_CLASSES = 100_000
KNOWN = ("name", "table", "persons", "classes", "skeleton", "protocols")
SKELETON = ("joints", "bones", "mirror", "centre", "parts")


@dataclass(frozen=True)
class Described:
    """The content of a TOML file; ``path`` is quoted in errors."""

    path: Path
    fields: Mapping[str, Any]

    def error(self, sentence: str) -> DataError:
        return DataError(f"{self.path}: {sentence}")

    def of(self, fields: Mapping[str, Any], name: str, kind: type, where: str = "", default: Any = None) -> Any:
        """Returns a field. Raises DataError if it is of another kind, or missing without a default."""
        value = fields.get(name, default)
        if value is None:
            raise self.error(f"{where}{name} is missing")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(f"{where}{name} is {value!r}; it must be a {WORDS[kind]}")
        return value


WORDS = {str: "text", int: "whole number", list: "list", dict: "table"}


def open_table(path: Path) -> tuple[Benchmark, Path]:
    """Opens the benchmark that a TOML file describes, and its table. Raises DataError."""
    if TABLE.fullmatch(path.name) and path.is_file():
        raise undescribed(path)
    try:
        fields = tomllib.loads(decode(path.read_bytes()))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): give the TOML file that describes a table") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise DataError(f"{path} is no TOML file ({error})") from error
    described = Described(path, fields)
    if unknown := sorted(set(fields) - set(KNOWN)):
        raise described.error(f"no such field: {', '.join(unknown)}; there are {', '.join(KNOWN)}")
    name = described.of(fields, "name", str)
    _check_name(described, name)
    skeleton = _skeleton(described, name)
    source = path.parent / described.of(fields, "table", str)
    persons = described.of(fields, "persons", int, default=1)
    if not 1 <= persons <= 16:
        raise described.error(f"persons is {persons}; it is 1 to 16")
    columns = TableReader(skeleton.joints, ()).columns(source)
    cells = different_cells(source, [column for column in ABOUT if columns.has(column)])
    labels = Labels.of(cells["label"], source)
    classes, numbered = _classes(described, labels, source)
    trains = _trains(described, columns)
    keys = {column: Keys.of(column, cells[column], trains) for column in UNSAID if columns.has(column)}
    notes = [*labels.notes, *_absent(labels, classes, numbered), *(note for key in keys.values() for note in key.notes)]
    benchmark = Benchmark(
        name=name,
        skeleton=skeleton,
        classes=classes,
        protocols=_protocols(described, classes, trains, keys),
        persons=persons,
        recordings=TableReader(
            skeleton.joints, classes, numbered, {column: key.texts for column, key in keys.items() if key.texts}
        ),
        planar=not columns.has("z"),
        notes=tuple(notes),
    )
    return benchmark, source


def _check_name(described: Described, name: str) -> None:
    from skelray.data.benchmarks import BENCHMARKS  # they are made of what stands beside this

    if not NAME.fullmatch(name):
        raise described.error(f"name is {name!r}; it begins with a letter, then letters, digits, _ and -")
    if name in {*BENCHMARKS, "table"}:
        raise described.error(f"name is {name!r}, which is a benchmark's; choose another one")


def _classes(described: Described, labels: Labels, source: Path) -> tuple[tuple[str, ...], bool]:
    """Returns the classes, listed or else all labels (texts sorted, numbers from 0), and whether labels are numbers.

    Labels are numbers of classes, although classes have numeric names, if not all of them are such names.
    """
    listed = described.of(described.fields, "classes", list, default=[])
    if not all(isinstance(name, str) for name in listed) or len({normalised(name) for name in listed}) < len(listed):
        raise described.error("classes must be a list of different texts")
    if listed:
        listed = [normalised(name) for name in listed]
        named_by_numbers = any(number_of(name) is not None for name in listed)
        return tuple(listed), named_by_numbers and not labels.names <= set(listed)
    numbers = [number_of(label) for label in labels.names]
    if None not in numbers:
        if (last := max(number for number in numbers if number is not None)) >= MOST_CLASSES:
            raise DataError(f"{source} has the label {last}: numbers of classes count from 0; list the classes otherwise")
        return tuple(map(str, range(last + 1))), True
    return tuple(sorted(labels.names)), False


def _absent(labels: Labels, classes: tuple[str, ...], numbered: bool) -> Iterator[str]:
    """Yields a note on classes without rows, such as 0 if labels count from 1."""
    used = {classes.index(one) if one in classes and not numbered else number_of(one) for one in labels.names}
    if absent := [name for number, name in enumerate(classes) if number not in used]:
        yield f"classes that no row of the table has: {some(absent)}" + ("; numbers count from 0" if numbered else "")


def _skeleton(described: Described, name: str) -> Skeleton:
    fields = described.of(described.fields, "skeleton", dict)
    where = "skeleton."
    if unknown := sorted(set(fields) - set(SKELETON)):
        raise described.error(f"no such field of the skeleton: {', '.join(unknown)}; there are {', '.join(SKELETON)}")
    joints = described.of(fields, "joints", list, where)
    if not all(isinstance(joint, str) for joint in joints) or not joints or len(set(map(normalised, joints))) < len(joints):
        raise described.error("skeleton.joints must be a list of different texts")
    joints = [normalised(joint) for joint in joints]
    number = {joint: at for at, joint in enumerate(joints)}

    def index(joint: Any, of: str) -> int:
        if not isinstance(joint, str) or normalised(joint) not in number:
            raise described.error(f"skeleton.{of} names {joint!r}; the joints are {', '.join(joints)}")
        return number[normalised(joint)]

    def pairs(of: str, default: list[Any] | None = None) -> tuple[tuple[int, int], ...]:
        listed = described.of(fields, of, list, where, default)
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in listed):
            raise described.error(f'skeleton.{of} must be a list of pairs such as ["{joints[0]}", "{joints[-1]}"]')
        return tuple((index(a, of), index(b, of)) for a, b in listed)

    parts = described.of(fields, "parts", dict, where, {"body": joints})
    if not all(isinstance(members, list) for members in parts.values()):
        raise described.error("skeleton.parts must give each part a list of joints")
    centre = index(described.of(fields, "centre", str, where), "centre")
    members = tuple((part, tuple(index(joint, "parts") for joint in listed)) for part, listed in parts.items())
    try:
        return Skeleton(name, tuple(joints), pairs("bones"), pairs("mirror", []), centre, members)
    except DataError:
        raise
    except ValueError as error:  # bones that are no tree, parts that leave a joint out
        raise described.error(f"skeleton: {error}") from error


def _trains(described: Described, columns: Columns) -> dict[str, tuple[Key, list[int | str]]]:
    """Returns the column by which each protocol divides, and its training list."""
    found = {}
    for name, fields in described.of(described.fields, "protocols", dict).items():
        where = f"protocols.{name}."
        if not isinstance(fields, dict) or set(fields) - {"by", "train", "classes"}:
            raise described.error(f"protocols.{name} must be a table of by, train and perhaps classes")
        by, train = described.of(fields, "by", str, where), described.of(fields, "train", list, where)
        if by not in get_args(Key):
            raise described.error(f"{where}by is {by!r}; it is one of {', '.join(get_args(Key))}")
        if not columns.has(by):
            raise described.error(f"{where}by is {by!r}, a column that the table lacks; it has {', '.join(columns.names)}")
        if not train or not all(isinstance(one, str) or (type(one) is int and one >= 0) for one in train):
            raise described.error(f"{where}train must be a list of whole numbers from 0, or of texts: each {by} that trains")
        found[name] = by, train
    if not found:
        raise described.error("protocols is empty: name at least one, such as [protocols.xsub]")
    return found


def _protocols(
    described: Described,
    classes: tuple[str, ...],
    trains: dict[str, tuple[Key, list[int | str]]],
    keys: dict[str, Keys],
) -> dict[str, Split]:
    protocols = {}
    for name, (by, listed) in trains.items():
        where = f"protocols.{name}."
        try:
            train = keys[by].numbers(listed)
        except DataError as error:
            raise described.error(f"{where}{error}") from error
        chosen = described.of(described.fields["protocols"][name], "classes", list, where, [])
        if unknown := [label for label in chosen if not isinstance(label, str) or normalised(label) not in classes]:
            raise described.error(f"{where}classes names {unknown[0]!r}; the classes are {some(classes)}")
        protocols[name] = Split(by, train, tuple(classes.index(normalised(label)) for label in chosen) or None)
    return protocols
