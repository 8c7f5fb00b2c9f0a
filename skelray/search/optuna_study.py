"""A ledger as a study of Optuna's: what proposes reads it, and so does every figure that Optuna can draw."""

from __future__ import annotations

import copy
import datetime
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from skelray.checks import UserError
from skelray.names import HELD_OUT
from skelray.search.ledger import ABOUT, Ledger, is_about
from skelray.search.sample import STATES, Sample
from skelray.store.store import Store

STUDY = 0  # the id of the only study in a storage
METRICS = "study:metric_names"  # where Optuna keeps them
WHOLE, PARAMS = "whole", "params"  # how much of a sample is seen; a sampler's own words are read and ended
THERE = tuple(STATES.values())  # what a trial may be: none waits
AGAIN = 1.0  # seconds after which a study that is watched reads the ledger again


def study(name: str, store: str | Path = "store") -> optuna.Study:
    """Returns the sweep of a table's name as an ``optuna.Study``, for figures, importances or a dashboard.

    A sample is a trial: its state, its readings as intermediate values by epoch, and as user attributes the arm of its
    row, its status and the ids of its trials in the store. It is read-only and follows the ledger while the sweep runs.
    Where the name has had several spaces or scales, it is the one that ran last. Raises UserError where the store has none.
    """
    found = storage(name, store)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.Study(study_name=name, storage=found)


def storage(name: str, store: str | Path = "store") -> LedgerStorage:
    """Returns a storage of Optuna's with this one study. Raises UserError if the store has no such sweep."""
    files = Store(store)
    ledgers = []
    for folder in files.folders("sweeps"):
        about = files.read_json(f"sweeps/{folder}/{ABOUT}", is_about)
        if about is not None and about["study"] == name:
            ledger = Ledger(files, f"sweeps/{folder}")
            latest = max((s.ended or s.started for s in ledger.samples.values()), default=0.0)
            ledgers.append((latest, folder, ledger, about["objectives"]))
    if not ledgers:
        raise UserError(f"{files.root} has no search of {name!r}: run it first, or name the store that it ran in")
    *_, ledger, objectives = max(ledgers, key=lambda one: one[:2])
    return LedgerStorage(name, ledger, objectives, follow=True)


class LedgerStorage(BaseStorage):
    """The samples of a ledger as trials, each made once for each of its states; a sample to come can be drawn beside them.

    objectives: further ones by name, which are made small. follow: the ledger is another process's and is read again.
    """

    def __init__(self, name: str, ledger: Ledger, objectives: Sequence[str] = (), follow: bool = False) -> None:
        self.name, self.ledger, self.objectives, self.follow = name, ledger, tuple(objectives), follow
        self._kept: dict[str, dict[int, FrozenTrial]] = {}  # by how they are seen, and number
        self._notes: dict[int, dict[str, Any]] = {}  # of the sampler's with the study, by the number of the sample
        self._drawn: list[FrozenTrial] = []  # of the sample to come: the last is being drawn, those before were not taken
        self._number, self._decided, self._how = 0, 0, WHOLE
        self._attrs: dict[str, Any] = {}
        self._fixed: dict[str, Any] = {}
        self._new: dict[str, Any] = {}
        self._read = time.monotonic()
        ledger.add_follower(self)

    # What follows the ledger

    def put(self, sample: Sample) -> None:
        for kept in self._kept.values():
            kept.pop(sample.number, None)
        if notes := sample.notes.get("study"):
            self._notes[sample.number] = notes

    def clear(self) -> None:
        self._kept.clear()
        self._notes.clear()

    # What a draw adds

    def begin_draw(self, number: int, decided: int, how: str) -> None:
        """Begins to draw a sample: of those below its number, the ones up to ``decided`` are seen with results, the others
        by their parameters alone.

        how: read, where one that waits at a rung is seen as stopped there; ended, where one that was stopped is seen as
        complete.
        """
        self._number, self._decided, self._how, self._drawn = number, decided, how, []
        self._attrs = {}
        for _, notes in sorted((n, notes) for n, notes in self._notes.items() if n < number):
            self._attrs |= notes

    def fix(self, params: Mapping[str, Any]) -> None:
        """Fixes the parameters of what is drawn next."""
        self._fixed = {"fixed_params": dict(params)}

    def end_draw(self) -> None:
        """Ends a draw: all samples are seen whole again."""
        self._how, self._drawn, self._attrs = WHOLE, [], {}

    @property
    def notes(self) -> dict[str, Any]:
        """What the sampler keeps with the sample that was drawn last."""
        own = {name: value for name, value in self._drawn[-1].system_attrs.items() if name != "fixed_params"}
        return {name: kept for name, kept in (("trial", own), ("study", self._new)) if kept}

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        if self.follow:
            raise UserError(f"the ledger of {self.name} is read-only: samples are added by `skelray run`")
        number = self._number + len(self._drawn)
        now, fixed, self._fixed, self._new = datetime.datetime.now(), self._fixed, {}, {}
        self._drawn.append(FrozenTrial(number, TrialState.RUNNING, None, now, None, {}, {}, {}, fixed, {}, number))
        return number

    def set_trial_param(self, trial_id: int, name: str, internal: float, distribution: BaseDistribution) -> None:
        drawn = self._drawn_one(trial_id)
        drawn.params = {**drawn.params, name: distribution.to_external_repr(internal)}
        drawn.distributions = {**drawn.distributions, name: distribution}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        drawn = self._drawn_one(trial_id)
        drawn.system_attrs = {**drawn.system_attrs, key: value}

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._refuse_where_read_only()
        self._attrs[key] = self._new[key] = value

    def _drawn_one(self, trial_id: int) -> FrozenTrial:
        self._refuse_where_read_only()
        (found,) = (trial for trial in self._drawn if trial._trial_id == trial_id)
        return found

    def _refuse_where_read_only(self) -> None:
        if not self._drawn:
            raise UserError(f"the ledger of {self.name} is read-only: what it holds is what ran")

    # What is read

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if self.follow and time.monotonic() > self._read + AGAIN:
            self.ledger.refresh()
            self._read = time.monotonic()
        if states is not None and not any(state in states for state in THERE):
            return []
        found = [*self._seen(), *self._drawn]
        found = found if states is None else [trial for trial in found if trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def _seen(self) -> list[FrozenTrial]:
        """Returns the samples' trials in order, as they are seen now."""
        if self._how == WHOLE:
            return self._trials(sorted(self.ledger.samples), WHOLE)
        decided = self._trials(range(min(self._number, self._decided + 1)), self._how)
        return [*decided, *self._trials(range(max(0, self._decided + 1), self._number), PARAMS)]

    def _trials(self, numbers: Iterable[int], how: str) -> list[FrozenTrial]:
        kept = self._kept.setdefault(how, {})
        return [kept.get(number) or self._made(number, how) for number in numbers]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        if drawn := [trial for trial in self._drawn if trial._trial_id == trial_id]:
            return drawn[0]
        how = PARAMS if self._how != WHOLE and trial_id > self._decided else self._how
        return self._trials([trial_id], how)[0]

    def _made(self, number: int, how: str) -> FrozenTrial:
        found = self._kept[how][number] = frozen_trial(self.ledger.samples[number], how, self.objectives)
        return found

    # The rest of what Optuna asks for

    def get_study_id_from_name(self, study_name: str) -> int:
        if study_name != self.name:
            raise KeyError(study_name)
        return STUDY

    def get_study_name_from_id(self, study_id: int) -> str:
        return self.name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * len(self.objectives)]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {METRICS: [HELD_OUT, *self.objectives], **self._attrs}

    def get_all_studies(self) -> list[FrozenStudy]:
        directions = self.get_study_directions(STUDY)
        return [FrozenStudy(self.name, None, {}, self.get_study_system_attrs(STUDY), STUDY, directions=directions)]

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        raise UserError(f"the ledger of {self.name} has one study: a new one is a study file of its own")

    def delete_study(self, study_id: int) -> None:
        raise UserError(f"the ledger of {self.name} is not deleted from here: remove {self.ledger.folder} from the store")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        raise UserError(f"the ledger of {self.name} is read-only: what it holds is what ran")

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        raise UserError(f"the ledger of {self.name} is read-only: what it holds is what ran")

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        raise UserError(f"the ledger of {self.name} is read-only: readings come from `skelray run`")

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        raise UserError(f"the ledger of {self.name} is read-only: samples are ended by `skelray run`")


def frozen_trial(sample: Sample, how: str = WHOLE, objectives: Sequence[str] = ()) -> FrozenTrial:
    """Returns a sample as a trial of Optuna's. how: params, read or ended, as for ``LedgerStorage.begin_draw``, or whole."""
    state, rungs = STATES[sample.status], sample.rungs
    if how in ("read", "ended") and sample.status == "paused":
        state = TrialState.PRUNED
    if how == "ended" and state == TrialState.PRUNED and rungs:
        state = TrialState.COMPLETE
    if how == PARAMS or (state == TrialState.COMPLETE and not rungs):
        state, rungs = TrialState.RUNNING, {}
    values = [rungs[max(rungs)], *(sample.figures[name] for name in objectives)] if state == TrialState.COMPLETE else None
    finished = datetime.datetime.fromtimestamp(sample.ended or sample.started) if state.is_finished() else None
    attrs = {"sample": sample.number, "status": sample.status, "epochs": sample.epochs}
    attrs |= {"trial": next(iter(sample.trials.values()), ""), "trials": list(sample.trials.values())}
    return FrozenTrial(
        number=sample.number,
        state=state,
        value=None,
        values=values,
        datetime_start=datetime.datetime.fromtimestamp(sample.started),
        datetime_complete=finished,
        params=sample.params,
        distributions={name: json_to_distribution(text) for name, text in sample.distributions.items()},
        user_attrs={**attrs, **sample.figures},
        system_attrs=sample.notes.get("trial", {}),
        intermediate_values=rungs,
        trial_id=sample.number,
    )
