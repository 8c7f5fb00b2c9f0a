"""What a study's table says beside its rows: what was planned to be compared, at what margin, and how it grew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

from skelray.study.contrasts import Contrast

MARGIN = 1.0  # points of accuracy that do not matter, unless a study says otherwise


@dataclass(frozen=True)
class Notes:
    """contrasts: what was planned; None where nothing was said: each arm against the first. margin: points that do not
    matter.

    looks: numbers of pairs at which a contrast was looked at, where seeds were added until it was decided; stopped: why no
    more were. parts: of a study of parts, those that each arm has on. figures: that are drawn of its table, as plain data.
    """

    contrasts: tuple[Contrast, ...] | None = None
    margin: float = MARGIN
    looks: tuple[int, ...] = ()
    stopped: str = ""
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    figures: tuple[Mapping[str, Any], ...] = ()

    def content(self) -> dict[str, Any]:
        """As plain data, without what is at its default."""
        usual = asdict(Notes())
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    @staticmethod
    def of(content: Mapping[str, Any]) -> Notes:
        """From plain data; what a later version added is left out."""
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
    """A study that says more about its table than its rows do."""

    def notes(self) -> Notes: ...


def notes_of(study: object) -> Notes:
    """What a study says about its table, nothing where it has nothing to say."""
    return study.notes() if isinstance(study, HasNotes) else Notes()
