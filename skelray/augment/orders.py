"""All arrangements of some augmentation sets: every order, and every assignment to branches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from skelray.augment.view import Arrangement, AugmentationSet
from skelray.checks import UserError, check_whole, quote_value


def orders(
    sets: Sequence[AugmentationSet], k: int | None = None, merge: bool = True, partial: bool = False
) -> dict[str, Arrangement]:
    """Returns every arrangement of these sets with 1 to k branches, by a label such as "BA, NA+Mask", without repeats.

    k: as many branches as sets by default. merge: several sets may enter at one branch, in the order in which they are given
    (BA+NA and NA+BA are one merge). partial: an arrangement may leave sets out. Arrangements that are equal in all branches,
    as a merge and a set that is the same merge, are listed once. The order given (weak to strong) comes first.

    >>> list(orders([BA, NA, Mask], merge=False))[:2]
    ['BA, NA, Mask', 'BA, Mask, NA']
    """
    _check(sets)
    if k is not None:
        check_whole("k", k, 1)
    most = len(sets) if k is None else min(k, len(sets))
    found: dict[tuple[object, ...], Arrangement] = {}
    for count in range(len(sets), 0 if partial else len(sets) - 1, -1):
        for chosen in combinations(range(len(sets)), count):
            for branches in sorted(_ordered(chosen, most, merge), key=lambda branches: (-len(branches), branches)):
                arrangement = tuple(_merged([sets[place] for place in branch]) for branch in branches)
                found.setdefault(tuple(entering.augmentations for entering in arrangement), arrangement)
    if not found:
        raise UserError(f"k {k}: {len(sets)} sets have no arrangement of {k} branches unless some merge or are left out")
    labelled: dict[str, Arrangement] = {}
    for arrangement in found.values():
        if (said := arrangement_label(arrangement)) in labelled:
            raise UserError(
                f"{said!r} could be either of two arrangements: give the set that is called like a merge another name"
            )
        labelled[said] = arrangement
    return labelled


def arrangement_label(arrangement: Arrangement) -> str:
    """Returns an arrangement as a table shows it: what enters at each branch."""
    return ", ".join(entering.name for entering in arrangement)


def _ordered(left: tuple[int, ...], most: int, merge: bool) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Yields the ordered partitions of these places into 1 to ``most`` branches, each branch ascending."""
    if not left:
        yield ()
        return
    for size in range(1, len(left) + 1 if merge else 2) if most else ():
        for branch in combinations(left, size):
            rest = tuple(place for place in left if place not in branch)
            yield from ((branch, *others) for others in _ordered(rest, most - 1, merge))


def _merged(sets: Sequence[AugmentationSet]) -> AugmentationSet:
    first, *others = sets
    for other in others:
        first = first + other
    return first


def _check(sets: Sequence[AugmentationSet]) -> None:
    """Raises UserError unless these are different sets with different names."""
    if not sets or not all(isinstance(one, AugmentationSet) for one in sets):
        raise UserError(f"sets {quote_value(sets)}: at least one augmentation set is needed, as in orders([BA, NA, Mask])")
    for place, one in enumerate(sets):
        for other in sets[:place]:
            if one.name == other.name or one.augmentations == other.augmentations:
                raise UserError(f"sets {other.name!r} and {one.name!r}: each is given once, under a name of its own")
