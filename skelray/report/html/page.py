"""One HTML file of a whole study. No request leaves it: a policy in it forbids them, and runs its one script alone."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from skelray.atomic import replacing
from skelray.report.html import (
    classes,
    costs,
    failures,
    features,
    motion,
    others,
    points,
    provenance,
    search,
    tables,
    verdicts,
)
from skelray.report.html.blocks import Section
from skelray.report.html.material import Material, gather_material
from skelray.report.html.stored import Stored

HERE = Path(__file__).parent
OWN = ("forest", "seeds", "curves", "features", "costs")  # figures that a section of the page draws
SCRIPTS = ("page.js", "widgets.js", "classes.js", "features.js", "motion.js")


def write_page(
    study: str, results: Path, store: str | None, margin: float | None, path: Path | None = None, refresh: int | None = None
) -> Path:
    """Writes the page of a study, RESULTS/STUDY.html by default, at once, and returns its path."""
    path = path or Path(results) / f"{study}.html"
    made = study_page(gather_material(study, results, store, margin), refresh)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as (place,):
        place.write_text(made, encoding="utf-8")
    return path


def study_page(material: Material, refresh: int | None = None) -> str:
    """Returns the page. refresh: seconds after which a browser reads it again, while a study runs."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    sections = _sections(material, draws=refresh is None)
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    engine = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return engine.get_template("page.html").render(
        study=material.study,
        sections=sections,
        places=material.places,
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        refresh=refresh,
    )


def _sections(material: Material, draws: bool) -> list[Section]:
    stored = None if material.store is None else Stored(material.store)
    answers = None if stored is None else list(stored.answers(material))
    return [
        tables.section(material),
        *search.sections(material, draws),
        verdicts.section(material),
        points.section(material),
        points.curves_section(material),
        classes.section(material, answers),
        features.section(material, stored),
        motion.section(material, answers),
        costs.section(material),
        others.section(material, OWN),
        failures.section(material),
        provenance.section(material),
    ]
