"""The name of a search's ledger: all that decides what it proposes and reads, so that no other search extends it."""

from __future__ import annotations

from dataclasses import replace

from skelray.identity.canonical import canonical, digest
from skelray.search.space import example
from skelray.study.scale import Scale
from skelray.study.sweep import Sweep


def ledger_folder(name: str, sweep: Sweep, scale: Scale, data: str) -> str:
    """Returns the folder in the store. name: of the study, which keeps ledgers apart that are alike; data: fingerprint."""
    content = {
        "study": name,
        "space": canonical(sweep.space),
        "example": canonical(replace(example(sweep, scale), evaluations=())),  # what the source takes from elsewhere
        "published": sorted((name, canonical(value)) for name, value in sweep.published.items()),
        "sweep": canonical([sweep.sampler, sweep.stopping, sweep.monitor, sweep.seeds]),
        "objectives": sorted((name, canonical(objective)) for name, objective in sweep.objectives.items()),
        "scale": canonical(replace(scale, samples=None, budget=None, until=None)),
        "data": data,
    }
    return f"sweeps/{digest(content)}"
