"""Names that code, commands and tables share, readable without torch."""

from __future__ import annotations

STREAMS = ("joint", "bone", "motion")
PRECISIONS = ("float32", "tf32", "bfloat16")  # of the encoders' matrix products; tf32 on a CUDA device alone

# By what code a released checkpoint may have been written, and on what.
METHODS = ("skeletonclr", "crossclr", "aimclr", "hiclr", "hico")
BACKBONES = ("stgcn", "dsta", "hierarchical")

KEEP = ("last", "best", "none")  # whose checkpoint stays when a trial has ended: its own, the best one's alone, nobody's
HELD_OUT = "held_out_top1"  # the monitor's metric
SEARCH = "search"  # in the spec of a sample's row: the distributions that its parameters were drawn from
SUFFIX = " held-out"  # of an evaluation on held-out training subjects

# Benchmarks recorded of the same people, by how their names begin.
SHARED_SUBJECTS = ("ntu", "pku")


PUBLISHED = "published"  # the status of a row that nobody ran: a paper's


def streams_in_order(stream: str) -> str:
    """Returns the streams of a trial in the order of tables, however they were trained: joint+bone+motion."""
    parts = stream.split("+")
    return "+".join(sorted(parts, key=STREAMS.index)) if all(part in STREAMS for part in parts) else stream


def shared_subjects(source: str, target: str) -> str:
    """Returns a warning if the two benchmarks of a transfer share subjects, else an empty text."""
    families = {family for family in SHARED_SUBJECTS for name in (source, target) if name.startswith(family)}
    if len(families) < 2:
        return ""
    return (
        f"{source} and {target} share subjects: people of {target}'s test split may have been seen in pretraining on "
        f"{source}, unlabelled."
    )


def transfer_in(evaluations: object, name: object) -> tuple[str, str] | tuple[None, None]:
    """Returns benchmark and protocol of the transfer of this name in evaluations in canonical form, else (None, None)."""
    for one in evaluations if isinstance(evaluations, list) else ():
        if isinstance(one, dict) and one.get("type") == "Transfer":
            benchmark, protocol = str(one.get("benchmark")), str(one.get("protocol"))
            if str(name).endswith(f" on {benchmark} {protocol}"):
                return benchmark, protocol
    return None, None


def column_name(evaluation: str, metric: str) -> str:
    """Returns a metric's name in a table: "top1" is left out."""
    return evaluation if metric == "top1" else f"{evaluation} {metric}"
