"""A study's notes in its table's file: the planned comparisons, their margin, and how the study grew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

from skelray.study.contrasts import Contrast

MARGIN = 1.0  # points of accuracy that do not matter, unless a study says otherwise


@dataclass(frozen=True)
class Notes:
    """contrasts: the planned ones; None: each arm with the first. margin: points that count as no difference.

    looks: numbers of pairs at which contrasts were tested while seeds were added; stopped: why no more were. parts: in a
    study of parts, those that each arm has on. figures: drawn from its table, as plain data.
    """

    contrasts: tuple[Contrast, ...] | None = None
    margin: float = MARGIN
    looks: tuple[int, ...] = ()
    stopped: str = ""
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    figures: tuple[Mapping[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns plain data without defaults."""
        usual = asdict(Notes())
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    @staticmethod
    def of(content: Mapping[str, Any]) -> Notes:
        """Rebuilds notes from plain data, ignoring fields of later versions."""
        known = {name: value for name, value in content.items() if name in Notes.__dataclass_fields__}
        if known.get("contrasts") is not None:
            known["contrasts"] = tuple(Contrast(**one) for one in known["contrasts"])
        if "looks" in known:
            known["looks"] = tuple(known["looks"])
        if "parts" in known:
            known["parts"] = {arm: tuple(on) for arm, on in known["parts"].items()}
        if "figures" in known:
            known["figures"] = tuple(known["figures"])
        return Notes(**known)


@runtime_checkable
class HasNotes(Protocol):
    """A study with notes on its table."""

    def notes(self) -> Notes: ...


def notes_of(study: object) -> Notes:
    """Returns a study's notes, empty ones if it has none."""
    return study.notes() if isinstance(study, HasNotes) else Notes()
