"""Names that code, commands and tables share, readable without torch."""

from __future__ import annotations

import re

STREAMS = ("joint", "bone", "motion")
PRECISIONS = ("float32", "bfloat16")  # of the encoders' matrix products

# By what code a released checkpoint may have been written, and on what.
METHODS = ("skeletonclr", "crossclr", "aimclr", "hiclr", "hico")
BACKBONES = ("stgcn", "dsta", "hierarchical")

HELD_OUT = "held_out_top1"  # the monitor's metric
SUFFIX = " held-out"  # of an evaluation on held-out training subjects

# Benchmarks recorded of the same people, by how their names begin.
SHARED_SUBJECTS = ("ntu", "pku")
TARGET = re.compile(r" on ([\w-]+) [\w-]+")  # in a transfer's name


def target_of(name: str) -> str | None:
    """The other benchmark in the name of a transfer; None in any other evaluation's."""
    found = TARGET.search(name)
    return found[1] if found else None


def shared_subjects(source: str, target: str) -> str:
    """What a reader of a transfer between these benchmarks has to know of their people; empty where nothing."""
    families = {family for family in SHARED_SUBJECTS for name in (source, target) if name.startswith(family)}
    if len(families) < 2:
        return ""
    return (
        f"{source} and {target} share subjects: people of {target}'s test split may have been seen in pretraining on "
        f"{source}, unlabelled."
    )
