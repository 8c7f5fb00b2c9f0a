"""Ray Tune Trainable classes: one for the trials of a study, and one for each method to use by hand."""

from __future__ import annotations

import datetime
import pickle
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import ray
import torch
from ray import tune

from skelray import machine, papers
from skelray.data.dataset import load_splits
from skelray.evaluation import distinct_names, measure, train_and_test
from skelray.identity.canonical import canonical
from skelray.machine import provenance
from skelray.runner.context import Settings, open_splits
from skelray.runner.execute import describe_failure, execute
from skelray.runner.fit import Needs, Unfit, check_fit
from skelray.runner.fusing import evaluate_fused
from skelray.runner.hanging import Pulse
from skelray.runner.worker_log import WarningCollector
from skelray.store.store import Store, StoredTrial
from skelray.study.cell import Fused
from skelray.study.changes import changed
from skelray.training import Pretraining, Report
from skelray.trial import Trial

STATE = "state.pt"  # in a checkpoint of Ray's
BESIDE = ("data", "device", "threads", "step")  # in the config of a Trainable, beside the trial's fields


class StudyTrainable(tune.Trainable):
    """A trial of a study against the store, an epoch a step. config: the trial, pickled, its id in the store and its epochs.

    The store is the checkpoint: an attempt after a lost worker goes on from there. A transient failure is raised, so
    that Ray tries again; any other is kept in the store and ends the trial at once.
    """

    def setup(self, config: dict[str, Any], settings: Settings, needs: Needs | None = None) -> None:  # type: ignore[override]
        self.settings, self.needs, self.logged, self.pulse = settings, needs, WarningCollector(), Pulse()
        self.begin(config)

    def begin(self, config: dict[str, Any]) -> None:
        machine.configure_process(self.settings.threads)
        machine.forget_peak()
        self.id, self.epochs, self.last = config["id"], config["epochs"], 0
        self.pulse.begin(config["attempt"])
        self.logged.begin(config["attempt"])
        self.device, self.started = torch.device("cpu"), datetime.datetime.now(datetime.UTC)
        self.reports = self.start(config["trial"])

    def start(self, content: bytes) -> Generator[Report, None, None]:
        """Starts a trial: whatever can fail is in the first step, where a failure is reported by cause."""
        self.device = machine.choose_device(self.settings.device)
        asked: Trial | Fused = pickle.loads(content)  # from our own driver
        trial = asked.trial if isinstance(asked, Fused) else asked
        if self.needs is not None:
            check_fit(self.settings, self.needs, trial, ray.get_runtime_context().get_node_id())
        data = open_splits(self.settings.data, trial.benchmark, trial.protocol)
        if isinstance(asked, Fused):
            evaluate_fused(asked, Store(self.settings.store), data.train.fingerprint, self.stored())
            return
        yield from execute(trial, data, self.stored(), self.device, partial(open_splits, self.settings.data))

    def stored(self) -> StoredTrial:
        return Store(self.settings.store).trial(self.id)

    def step(self) -> dict[str, Any]:
        try:
            report = next(self.reports)
        except StopIteration:
            return {"done": True, "epoch": self.last, "logged": self.logged.drain(), **self.source()}
        except Unfit:
            raise  # the driver sets this node aside
        except Exception as error:
            failed = describe_failure(error, self.device, self.started)
            if self.save_failure(failed) and failed["transient"]:
                raise
            return {"done": True, "epoch": self.last, "failed": failed, "logged": self.logged.drain()}
        self.last = report.epoch
        return {
            "epoch": report.epoch,
            "epoch_seconds": report.seconds,
            "replayed": report.replayed,
            "metrics": report.metrics,
            "logged": self.logged.drain(),
            "peak": machine.peak_memory(),
            **self.source(),
        }

    def source(self) -> dict[str, Any]:
        """Returns where a result is from: device, version, commit and node."""
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""
        return {"source": provenance(self.device), "node": node}

    def save_failure(self, failed: dict[str, Any]) -> bool:
        """Saves a failure in the store. Returns whether it could; if not, the driver keeps it."""
        try:
            self.stored().save_failure(self.epochs, failed)
        except (OSError, ValueError):
            return False
        return True

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.close()
        self.begin(new_config)
        return True

    def close(self) -> None:
        """Closes what is under way; it keeps what it has."""
        self.reports.close()

    def cleanup(self) -> None:
        self.close()
        self.logged.end()
        self.pulse.end()


class TrialTrainable(tune.Trainable):
    """A trial described by its config alone: fields of ``base`` by name, and where its data lies.

    config: any field of the trial, its method, optimizer or backbone; ``data``: folder of prepared data (default
    ``data``); ``device``; ``threads``; ``step``: epochs that a step trains (default 1). Each step reports epoch, loss
    and, where the trial has a monitor that was due, held_out_top1; the last one adds the metrics of each evaluation on
    the test split and ``done``. Where nothing is left to train, as with ``epochs`` 0 or after restoring the end of a
    trial, a step evaluates alone.

    A checkpoint also says which settings trained it: ``trained`` has pairs of the first epoch and the trial as it then was,
    since a scheduler such as PopulationBasedTraining goes on from another trial's checkpoint under other settings.
    """

    base: ClassVar[Trial]

    def setup(self, config: dict[str, Any]) -> None:
        device = machine.choose_device(config.get("device"))
        machine.configure_process(int(config.get("threads", 1)))
        self.epochs_a_step = int(config.get("step", 1))
        self.root, self.trial_spec = Path(config.get("data", "data")), self.trial_of(config)
        self.splits = load_splits(self.root, self.trial_spec.benchmark, self.trial_spec.protocol)
        self.pretraining = Pretraining(self.trial_spec, self.splits, device)
        self.trained: list[list[Any]] = []
        self.started = datetime.datetime.now(datetime.UTC).isoformat()

    @classmethod
    def trial_of(cls, config: dict[str, Any]) -> Trial:
        """Returns the trial that a config describes."""
        fields = {name: value for name, value in config.items() if name not in BESIDE}
        trial = cls.base
        if "epochs" in fields:
            trial = trial.lasting(fields.pop("epochs"))
        return changed(trial, fields)

    def step(self) -> dict[str, Any]:
        pretraining, setting = self.pretraining, canonical(self.trial_spec)
        left = range(pretraining.epoch + 1, self.trial_spec.epochs + 1)[: self.epochs_a_step]
        if left and (not self.trained or self.trained[-1][1] != setting):
            self.trained.append([left[0], setting])
        for _ in left:
            pretraining.train_epoch()
        result: dict[str, Any] = {"epoch": pretraining.epoch}
        if pretraining.history:
            result |= pretraining.history[-1].metrics
        if pretraining.epoch >= self.trial_spec.epochs:
            result |= self.evaluate()
            result["done"] = True
        return result

    def evaluate(self) -> dict[str, float]:
        frozen, evaluations = self.pretraining.frozen_encoder(partial(load_splits, self.root)), self.trial_spec.evaluations
        return {
            f"{name}_{metric}": value
            for name, evaluation in zip(distinct_names(evaluations), evaluations, strict=True)
            for metric, value in measure(evaluation, frozen, *train_and_test(evaluation, self.splits)).metrics.items()
            if metric != "top5"
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        told = {"trained": self.trained, "data": self.splits.train.fingerprint, "started": self.started}
        source = provenance(self.pretraining.device)
        torch.save({**self.pretraining.state(), **told, "source": source}, Path(checkpoint_dir) / STATE)

    def load_checkpoint(self, checkpoint: str) -> None:  # type: ignore[override]
        state = torch.load(Path(checkpoint) / STATE, map_location="cpu", weights_only=True)
        groups = self.pretraining.optimizer.param_groups
        own = [{name: value for name, value in group.items() if name != "params"} for group in groups]
        self.pretraining.load_state(state)
        for group, settings in zip(self.pretraining.optimizer.param_groups, own, strict=True):
            group.update(settings)  # those of the config, not of the trial that the checkpoint is from
        self.trained, self.started = list(state.get("trained", [])), state.get("started", self.started)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True


class SkeletonCLRTrainable(TrialTrainable):
    """SkeletonCLR from its published setting."""

    base = papers.SKELETONCLR


class CrosSCLRTrainable(TrialTrainable):
    """CrosSCLR on three streams from its published setting."""

    base = papers.CROSSCLR


class AimCLRTrainable(TrialTrainable):
    """AimCLR from its published setting."""

    base = papers.AIMCLR


class HiCLRTrainable(TrialTrainable):
    """HiCLR from its published setting."""

    base = papers.HICLR


class HiCoTrainable(TrialTrainable):
    """HiCo with the Transformer from its published setting."""

    base = papers.HICO_TRANSFORMER
