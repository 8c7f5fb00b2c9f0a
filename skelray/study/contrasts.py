"""The planned comparisons of a study, fixed before any result: two arms, and the paper's claim on them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from skelray.checks import UserError, check_label

FIRST, PREVIOUS = "first", "previous"
CLAIMS = ("", "above", "below")


@dataclass(frozen=True)
class Contrast:
    """The difference of two arms, paired by seed.

    at: values of the table's columns to which it is restricted, as {"protocol": "xsub"}; empty: everywhere. other_at: those
    that differ for the other arm, as {"stream": "joint"} beside {"stream": "joint+bone+motion"}.
    claim: the paper's: the arm is "above" or "below" the other, or none.
    """

    arm: str
    other: str
    at: Mapping[str, str | int] = field(default_factory=dict)
    other_at: Mapping[str, str | int] = field(default_factory=dict)
    claim: str = ""

    def __post_init__(self) -> None:
        check_label("arm", self.arm)
        check_label("arm", self.other)
        if self.arm == self.other and not self.other_at:
            raise UserError(f"arm {self.arm!r} is compared with itself: name another one, or other_at")
        if missing := sorted(set(self.other_at) - set(self.at)):
            raise UserError(f"other_at names {missing[0]!r}, and at does not: give there the arm's own value")
        if self.claim not in CLAIMS:
            raise UserError(f"claim {self.claim!r} is none of 'above', 'below' or nothing")

    @property
    def name(self) -> str:
        """The other arm, with what else tells it apart."""
        told = " ".join(map(str, self.other_at.values()))
        return f"{self.other} ({told})" if told else self.other


Contrasts = str | Sequence[Contrast]  # "first", "previous", or what is planned


def planned_contrasts(contrasts: Contrasts, arms: Iterable[str]) -> tuple[Contrast, ...]:
    """Returns contrasts of each arm with the first ("first") or the previous one ("previous"), or those given.

    Raises UserError for an unknown arm and for a repeated contrast.
    """
    labels = list(arms)
    if contrasts == FIRST:
        return tuple(Contrast(arm, labels[0]) for arm in labels[1:])
    if contrasts == PREVIOUS:
        return tuple(Contrast(arm, other) for other, arm in itertools.pairwise(labels))
    if isinstance(contrasts, str) or not all(isinstance(one, Contrast) for one in contrasts):
        raise UserError(f"contrasts {contrasts!r}: 'first', 'previous' or a list of Contrast is needed")
    for place, one in enumerate(contrasts):
        if unknown := [name for name in (one.arm, one.other) if name not in labels]:
            raise UserError(f"a contrast names the arm {unknown[0]!r}; the arms are {', '.join(labels)}")
        if replace(one, claim="") in [replace(earlier, claim="") for earlier in contrasts[:place]]:
            raise UserError(f"{one.arm!r} against {one.name!r} is planned twice: a test would be counted twice")
    return tuple(contrasts)


def above(arm: str, *others: str, at: Mapping[str, str | int] | None = None) -> list[Contrast]:
    """Returns contrasts claiming that an arm is above others. at: where, as {"stream": "joint+bone+motion"}."""
    return [Contrast(arm, other, at or {}, claim="above") for other in others]


def below(arm: str, *others: str, at: Mapping[str, str | int] | None = None) -> list[Contrast]:
    """Returns contrasts claiming that an arm is below others; see ``above``."""
    return [Contrast(arm, other, at or {}, claim="below") for other in others]


def fused_above(arm: str, fused: str, *streams: str) -> list[Contrast]:
    """Returns contrasts claiming that an arm's ensemble, named ``fused`` in tables, is above each of its streams."""
    return [Contrast(arm, arm, {"stream": fused}, {"stream": stream}, "above") for stream in streams]
