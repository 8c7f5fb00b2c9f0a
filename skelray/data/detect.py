"""Detection of a source's format, by file names and, if they do not decide, by a look into the files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from skelray.data.benchmark import Benchmark
from skelray.data.catalogue import ARCHIVE, FORMATS, Format
from skelray.data.formats.listing import exists, listing
from skelray.data.formats.sources import UNREADABLE, File, PackedFile
from skelray.data.own.starter import TABLE, undescribed
from skelray.data.report import shortened
from skelray.data.stored import DataError

MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf'\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd")
MANY = 10  # times as many files as of all other formats together: those are beside the point


@dataclass
class Candidate:
    """The files of a source that may be in one format: the names that match, and where the files lie."""

    form: Format
    matches: list[re.Match[str]] = field(default_factory=list)
    files: list[tuple[str, File]] = field(default_factory=list)

    def fitting(self, unread: dict[str, str], told: bool = False) -> Iterator[tuple[str, File]]:
        """Yields the files that are in the format, looking into them; notes in ``unread`` those that cannot be read.

        told: the user named the format, so that no file is looked into.
        """
        for path, file in self.files:
            try:
                if told or self.form.looks is None or self.form.looks(path.rsplit("/", 1)[-1], file):
                    yield path, file
            except UNREADABLE as error:
                unread[path] = getattr(error, "strerror", None) or str(error)


@dataclass
class UnreadFiles:
    """The files of a source that are not read: of another kind, packed, nearly named as they should be, or unreadable."""

    unlike: list[str] = field(default_factory=list)
    packed: list[str] = field(default_factory=list)
    near: list[tuple[str, Format]] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)

    def notes(self) -> tuple[str, ...]:
        """Returns a sentence for each kind of them."""
        kinds = {
            f"{len(self.unlike)} beside the recordings not read, of another kind": self.unlike,
            f"{len(self.packed)} not looked into, packed (unpack what holds recordings)": self.packed,
            f"{len(self.near)} not read for their names": self.nearly(),
        }
        return tuple(f"{kind}: {shortened(names)}" for kind, names in kinds.items() if names)

    def unreadable(self) -> list[str]:
        return [f"{path} ({reason})" for path, reason in self.unread.items()]

    def nearly(self) -> list[str]:
        return [f"{path} (expected: {one.example})" for path, one in self.near]


def detect(source: Path, wanted: Benchmark | None = None, name: str | None = None) -> Benchmark:
    """Returns the benchmark that a source holds.

    wanted, name: the benchmark and the format, if the user names them. Raises DataError unless exactly one fits.
    """
    if not exists(source):
        raise DataError(f"there is no {source}: name the folder or file that holds the recordings")
    candidates = [one for one in FORMATS if name in (None, one.name) and _may_hold(one, wanted)]
    held, rest = _sorted_out(source, candidates)
    fitting: list[tuple[Candidate, File]] = []
    for one in held:
        found = islice(one.fitting(rest.unread, told=name is not None), 1 if one.form.counts else None)
        if fits := dict(found):
            fitting.append((one, next(iter(fits.values()))))
        if not fits or not one.form.counts:
            rest.unlike += [path for path, _ in one.files if path not in fits and path not in rest.unread]
    if not fitting:
        raise _nothing(source, wanted if name is None else None, candidates, held, rest)
    raw = [(one, first) for one, first in fitting if one.form.opener is None or not isinstance(first, PackedFile)]
    if raw:  # arrays in a zip are none that could be read
        rest.packed += [path for one, first in fitting if (one, first) not in raw for path, _ in one.files]
    one, first = _most(source, raw or fitting, rest)
    _check_unread(source, one, rest)
    if isinstance(first, PackedFile) and one.form.opener is not None:
        raise DataError(
            f"{source} holds {one.form.example} or the like in a zip; arrays are mapped from disk: unpack it first"
        )
    opened = one.form.open(source, one.matches, wanted)
    return replace(opened, notes=(*opened.notes, *notes)) if (notes := rest.notes()) else opened


def _may_hold(one: Format, wanted: Benchmark | None) -> bool:
    return wanted is None or one.opener is not None or wanted in one.benchmarks


def _sorted_out(source: Path, candidates: Sequence[Format]) -> tuple[list[Candidate], UnreadFiles]:
    """Sorts the files of a source by name. A file whose name identifies one format belongs to no other."""
    held, rest = [Candidate(one) for one in candidates], UnreadFiles()
    for path, file in listing(source):
        name = path.rsplit("/", 1)[-1]
        if name.startswith("."):
            continue
        fits = {number: match for number, one in enumerate(candidates) if (match := one.pattern.fullmatch(name))}
        certain = {number for number in fits if candidates[number].looks is None}
        for number in certain or fits:
            held[number].matches.append(fits[number])
            held[number].files.append((path, file))
        if fits:
            continue
        if ARCHIVE.fullmatch(name):
            rest.packed.append(path)
        elif like := next((one for one in candidates if one.near is not None and one.near.fullmatch(name)), None):
            rest.near.append((path, like))
    return [one for one in held if one.files], rest


def _most(source: Path, fitting: Sequence[tuple[Candidate, File]], rest: UnreadFiles) -> tuple[Candidate, File]:
    """Returns the format of by far the most files; the others are incidental. Raises DataError if there is none.

    Arrays hold many samples in one file, so numbers of files beside them mean nothing.
    """
    if len(fitting) == 1:
        return fitting[0]
    counts = [sum(1 for _ in one.fitting({})) for one, _ in fitting]
    at = max(range(len(counts)), key=counts.__getitem__)
    if counts[at] < MANY * (sum(counts) - counts[at]) or any(one.form.opener for one, _ in fitting):
        fits = ", ".join(f"{one.form.name} ({count} files)" for (one, _), count in zip(fitting, counts, strict=True))
        raise DataError(f"{source} holds files of several formats, {fits}: choose one by --format, or give a narrower path")
    rest.unlike += [path for one, _ in fitting if one is not fitting[at][0] for path, _ in one.files]
    return fitting[at]


def _check_unread(source: Path, one: Candidate, rest: UnreadFiles) -> None:
    """Raises DataError if files could not be looked into and reading the format's own does not count them."""
    for path in (path for path, _ in one.files if one.form.counts):
        rest.unread.pop(path, None)
    if rest.unread:
        raise DataError(
            f"{source} holds {len(rest.unread)} files beside the recordings that cannot be read and may be some: "
            f"{shortened(rest.unreadable())}. Make them readable, take them away, or say --format {one.form.name}"
        )


def _nothing(
    source: Path, wanted: Benchmark | None, candidates: Sequence[Format], held: Sequence[Candidate], rest: UnreadFiles
) -> DataError:
    """Returns an error that says that nothing fits, why, and what to do about it."""
    if source.is_file() and TABLE.fullmatch(source.name) and not rest.unread:
        return undescribed(source)
    what = f"{source} holds no files of a known format"
    try:
        if wanted is not None:
            wanted.recordings(source)
    except DataError as error:
        what = str(error)  # which says what is missed
    why = _reasons(source, held, rest)
    reason = f" ({'; '.join(why)})" if why else ""
    if len(why) == 1 and rest.packed:  # what it holds is not known before it is unpacked
        return DataError(f"{what}{reason}")
    known = ", ".join(f"{one.name} ({one.example})" for one in candidates)
    return DataError(
        f"{what}{reason}: known are {known}. Data of your own go by a table and a TOML file that describes it, "
        "`skelray prepare table FILE.toml`: docs/your_data.md says how they are written"
    )


def _reasons(source: Path, held: Sequence[Candidate], rest: UnreadFiles) -> list[str]:
    """Returns, for each file that could have been a recording, why it is none."""
    if source.is_file() and not held and not rest.packed and _is_packed(source):
        rest.packed.append(source.name)
    why = [f"{shortened(rest.unreadable())} cannot be read"] if rest.unread else []
    if rest.packed:
        why.append(f"packed in a way that is not read, {shortened(rest.packed)}: unpack it first, and give the folder")
    if rest.near:
        why.append(f"not read for their names: {shortened(rest.nearly())}")
    for one in held:
        if one.form.opener is not None and len(one.files) <= 2 and not isinstance(one.files[0][1], PackedFile):
            try:
                one.form.opener(source)
            except (DataError, OSError) as error:
                why.append(str(error))
    if not why and rest.unlike:
        why.append(f"not of the form that their names are for: {shortened(rest.unlike)}")
    return why if source.is_file() else [*why, *_tables(source)]


def _tables(source: Path) -> Iterator[str]:
    """Yields how to prepare the tables of a folder."""
    paths = [path for path, _ in listing(source)]
    if tables := [path for path in paths if TABLE.fullmatch(path) and not path.lower().endswith("json")]:
        described = next((source / path for path in paths if path.lower().endswith(".toml")), None)
        way = "described by a TOML file" if described is None else f"prepared by its TOML file, skelray prepare {described}"
        yield f"{shortened(tables)}: a table of your own is {way}"


def _is_packed(path: Path) -> bool:
    """Returns whether a file is an archive, by its first bytes or those of a tar."""
    with suppress(OSError), open(path, "rb") as file:
        start = file.read(512)
        return start.startswith(MAGIC) or start[257:262] == b"ustar"
    return False
