"""The nodes of a cluster: which of them may run trials, and how many of these they hold at once."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
from ray.tune import PlacementGroupFactory
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from skelray.checks import UserError
from skelray.runner.context import Context, Settings
from skelray.runner.fit import Needs, forget, needs_of, why_unfit
from skelray.trial import Trial

log = logging.getLogger("skelray")
ANSWER = 60.0  # seconds that a node has to say whether it is fit
LABEL = "ray.io/node-id"


class Nodes:
    """The nodes that trials of these needs may run on: all but those set aside. resources: of a trial, cpu and gpu."""

    def __init__(self, resources: Mapping[str, float]) -> None:
        self.resources = dict(resources)
        self.aside: dict[str, str] = {}  # by id, why

    def set_aside(self, node: str, why: str) -> None:
        """The node gets no more trials; says so once."""
        if node not in self.aside:
            self.aside[node] = why
            log.warning("node %s is set aside: %s; trials go elsewhere", _called(node), why)

    def slots(self) -> int:
        """How many trials they hold at once now."""
        return sum(self._fits(node) for node in self._able())

    def _fits(self, node: Mapping[str, Any]) -> int:
        cpu, gpu = (node["Resources"].get(name, 0.0) for name in ("CPU", "GPU"))
        by_gpu = math.floor(gpu / self.resources["gpu"] + 1e-9) if self.resources.get("gpu") else math.inf
        return int(min(cpu // self.resources["cpu"], by_gpu))

    def check_slots(self) -> None:
        """Raises UserError where no node can hold a trial."""
        if self.slots():
            return
        if self.aside:
            raise UserError(f"no node of the cluster may run a trial: {next(iter(self.aside.values()))}")
        raise UserError(f"no node of the cluster can hold a trial that needs {self.resources}: ask for fewer --threads")

    def request(self, alone: bool = False) -> PlacementGroupFactory:
        """What a trial asks Ray for. alone: all CPUs of the largest node that can hold it."""
        cpu = self.resources["cpu"]
        if alone:
            cpu = max([cpu, *(node["Resources"]["CPU"] for node in self._able() if self._fits(node))])
        bundle = {"CPU": cpu, **({"GPU": self.resources["gpu"]} if self.resources.get("gpu") else {})}
        if not self.aside:
            return PlacementGroupFactory([bundle])
        return PlacementGroupFactory([bundle], bundle_label_selector=[{LABEL: f"!in({','.join(sorted(self.aside))})"}])

    @contextmanager
    def checked(self, context: Context, settings: Settings, trials: list[Trial]) -> Iterator[Needs]:
        """What nodes need, after each that is there has been asked for it; those that lack it are set aside.

        Raises UserError where none is left.
        """
        needs = needs_of(context, trials)
        try:
            asked = {node["NodeID"]: self._ask(node["NodeID"], settings, needs) for node in self._able()}
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER)
            for node, reply in asked.items():
                if why := self._heard(node, reply, context, needs):
                    self.set_aside(node, why)
            self.check_slots()
            yield needs
        finally:
            forget(context, needs)

    def _ask(self, node: str, settings: Settings, needs: Needs) -> Any:
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        asked: Any = ray.remote(why_unfit)
        return asked.options(num_cpus=0, scheduling_strategy=there).remote(settings, needs, node)

    def _heard(self, node: str, reply: Any, context: Context, needs: Needs) -> str:
        try:
            why: str = ray.get(reply, timeout=0)
        except ray.exceptions.GetTimeoutError:
            return f"it did not answer in {ANSWER:.0f} s"
        except Exception as error:  # skelray is not installed there, ...
            return f"it cannot run skelray: {str(error).strip().splitlines()[-1]}"
        if not why and context.store.read_json(needs.answer(node)) is None:
            return f"what it writes to the store {context.store.root} does not arrive there"
        return why

    def _able(self) -> list[dict[str, Any]]:
        """Alive, with CPUs, and not set aside."""
        alive = (node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0.0) > 0)
        return [node for node in alive if node["NodeID"] not in self.aside]


def _called(id: str) -> str:
    """The node's address and the beginning of its id."""
    nodes = ray.nodes() if ray.is_initialized() else []
    found = next((node["NodeManagerAddress"] for node in nodes if node["NodeID"] == id), "")
    return f"{found} ({id[:8]})" if found else id[:8]
