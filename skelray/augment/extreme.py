"""Extreme augmentations (EA) of AimCLR (Guo et al., AAAI 2022): basic and normal ones, and reversed time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from skelray.augment.basic import BA
from skelray.augment.normal import NA, check_probability, each
from skelray.augment.view import AugmentationSet, View


@dataclass(frozen=True)
class TimeFlip:
    """Reverses the frames. In the paper and the first release; off in the code that was released later."""

    NUMBERS: ClassVar[tuple[str, ...]] = ("probability",)

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_probability("TimeFlip", self.probability)

    def __call__(self, view: View) -> View:
        return view.with_x(each(view.coin(self.probability), view.x.flip(2), view.x))


# The order of the first release, which has the paper's eight, puts the time flip before noise, blur and axis mask.
EA = AugmentationSet("EA", (*BA.augmentations, *NA.augmentations[:2], TimeFlip(), *NA.augmentations[2:]))
