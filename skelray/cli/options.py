"""Makes a run, a study at a scale, of what a command line asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from skelray.checks import UserError
from skelray.data.dataset import NotPrepared
from skelray.names import KEEP
from skelray.results.tables import load
from skelray.runner.context import Settings
from skelray.runner.kinds import as_search, trials_of
from skelray.runner.run import Run
from skelray.runner.study_file import blaming_study_file, load_study
from skelray.study.enough import Budget, Stable
from skelray.study.scale import DEMO, LAG, Scale
from skelray.study.study import Study
from skelray.study.sweep import Sweep

Options = Mapping[str, Any]


def open_run(options: Options, make_data: Callable[[Path], None]) -> tuple[Run, ModuleType]:
    """Opens the study of a command as a run, with its module. Raises UserError, in a sentence, for all that is wrong.

    make_data: sees to the generated data in a folder, for a demonstration.
    """
    path: Path = options["study"]
    name, study, module = load_study(path)
    scale = scale_from(options)
    study.refuse(scale_from({**options, "demo": False}))  # what is asked for in so many words
    with blaming_study_file(path):
        name = options["name"] or table_name(name, study, scale, options["demo"])
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise UserError(f"a table is named by letters, digits, '_' and '-', not {name!r}: give it another --name")
        if options["demo"] and scale.benchmark == DEMO.benchmark:
            make_data(options["data"])
        settings = Settings(options["data"], options["store"], options["results"], options["device"], options["threads"])
        settings = replace(settings, keep=options.get("keep") or KEEP[0], disk=options.get("disk"))
        settings = replace(settings, lanes=options.get("lanes"))
        try:
            run = Run(name, study, scale, settings)
            run.work.size()  # data or a protocol that is missing is said before anything starts
        except NotPrepared as error:
            hint = "--demo runs the study on generated data, --benchmark NAME on other prepared data"
            raise NotPrepared(f"{error}; {hint}") from error
    return run, module


def load_sweep_table(options: Options) -> tuple[str, Sweep, Scale, list[dict[Any, Any]]]:
    """Returns the name, the sweep, the scale and the table's rows of what a command ran, without opening data or store.

    Raises UserError for a study that is no sweep, and where it has no table.
    """
    name, study, _ = load_study(options["study"])
    sweep, scale = as_search(study, str(options["study"])), scale_from(options)
    name = options["name"] or table_name(name, study, scale, options["demo"])
    return name, sweep, scale, load(name, options["results"]).to_dict("records")


def scale_from(options: Options) -> Scale:
    """Returns the scale that the options ask for, and the demo's where they leave it open."""
    changes = dict(_change(text) for text in options["changes"])
    if options["precision"]:
        changes["precision"] = options["precision"]
    base = DEMO if options["demo"] else Scale()
    return replace(
        base,
        benchmark=options["benchmark"] or base.benchmark,
        protocols=tuple(dict.fromkeys(options["protocols"])) or base.protocols,
        epochs=options["epochs"] or base.epochs,
        seeds=tuple(range(options["seeds"])) if options["seeds"] else base.seeds,
        samples=options["samples"] or base.samples,
        ordered=LAG if options["ordered"] else base.ordered,
        budget=Budget.of(options["budget"]) if options.get("budget") else base.budget,
        until=Stable() if options.get("until") else base.until,
        changes=tuple({**dict(base.changes), **changes}.items()),
    )


def _change(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text!r}: it reads FIELD=VALUE, as in --set queue=512")
    return name.strip(), value.strip()


def table_name(name: str, study: Study, scale: Scale, demo: bool) -> str:
    """Returns the table's name: of the study's file and what it runs on, so that no other table is replaced."""
    if demo:
        name, own = f"{name}_demo", {DEMO.benchmark}
    elif scale.benchmark is None:
        return name
    else:
        own = {trial.benchmark for trial in trials_of(study)}
    return name if own == {scale.benchmark} else f"{name}_{re.sub(r'[^A-Za-z0-9_-]', '_', str(scale.benchmark))}"


def notice_of_synthetic(scale: Scale) -> str:
    """Returns a warning that a run is on generated data."""
    told = [f"{scale.epochs} epochs"] if scale.epochs is not None else []
    told += ["small models"] if scale.small else []
    told += [f"{name} {value}" for name, value in scale.changes]
    return f"{', '.join(['generated data', *told])}: the numbers say nothing about people or papers"
