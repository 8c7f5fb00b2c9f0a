"""The nodes of a cluster: which of them may run trials, and how many of these they hold at once."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import ray
from ray.tune import PlacementGroupFactory

from skelray.checks import UserError

log = logging.getLogger("skelray")
LABEL = "ray.io/node-id"
Node = Mapping[str, Any]  # as ray.nodes() has it


class Nodes:
    """The nodes that trials of these needs may run on: all but those set aside, and those that are still asked.

    resources: of a trial, cpu and gpu. One node may be kept free for a trial that is to be alone on one.
    """

    def __init__(self, resources: Mapping[str, float]) -> None:
        self.resources = dict(resources)
        self.excluded: dict[str, str] = {}  # by id, why
        self.asked: set[str] = set()
        self.kept = ""

    def exclude(self, node: str, why: str) -> None:
        """Gives the node no more trials, and says so once."""
        if node not in self.excluded:
            self.excluded[node] = why
            log.warning("node %s is set aside: %s; trials go elsewhere", node_name(node), why)

    def slots(self) -> int:
        """Returns how many trials the nodes hold at once now, without the one that is kept free."""
        return sum(self._fits(node) for node in self.able() if node["NodeID"] != self.kept)

    def keep_free(self) -> None:
        """Keeps the node with the most memory that can hold a trial for one that is to be alone; another if it is lost."""
        sizes = {node["NodeID"]: _size(node) for node in self.able()}
        if self.kept not in (there := self.fit()):
            self.kept = max(there & sizes.keys(), key=lambda id: sizes[id], default="")

    def fit(self) -> set[str]:
        """Returns the nodes that can hold a trial now, the one that is kept free with them."""
        return {node["NodeID"] for node in self.able() if self._fits(node)}

    def _fits(self, node: Node) -> int:
        cpu, gpu = (node["Resources"].get(name, 0.0) for name in ("CPU", "GPU"))
        by_gpu = math.floor(gpu / self.resources["gpu"] + 1e-9) if self.resources.get("gpu") else math.inf
        return int(min(cpu // self.resources["cpu"], by_gpu))

    def check_slots(self) -> None:
        """Raises UserError where no node can hold a trial."""
        if self.slots():
            return
        if self.excluded:
            raise UserError(f"no node of the cluster may run a trial: {next(iter(self.excluded.values()))}")
        raise UserError(f"no node of the cluster can hold a trial that needs {self.resources}: ask for fewer --threads")

    def request(self, alone: bool = False) -> PlacementGroupFactory:
        """Asks Ray for what a trial needs. alone: for all CPUs of the node that is kept free, where there is one."""
        cpu, avoided = self.resources["cpu"], self.avoided(alone)
        if alone:
            cpu = max([cpu, *(node["Resources"]["CPU"] for node in self.able() if node["NodeID"] == self.kept)])
        bundle = {"CPU": cpu, **({"GPU": self.resources["gpu"]} if self.resources.get("gpu") else {})}
        if alone and self.kept:
            return PlacementGroupFactory([bundle], bundle_label_selector=[{LABEL: f"in({self.kept})"}])
        if not avoided:
            return PlacementGroupFactory([bundle])
        return PlacementGroupFactory([bundle], bundle_label_selector=[{LABEL: f"!in({','.join(sorted(avoided))})"}])

    def avoided(self, alone: bool = False) -> set[str]:
        """Returns the nodes that a trial may not run on now."""
        return {*self.excluded, *self.asked, *([self.kept] if self.kept and not alone else [])}

    def able(self) -> list[Node]:
        """Returns the nodes that are alive, have CPUs, and are neither excluded nor still asked."""
        return [node for node in alive_nodes() if node["NodeID"] not in {*self.excluded, *self.asked}]


def all_nodes() -> list[Node]:
    """Returns the nodes that the cluster has and had."""
    return list(ray.nodes())


def alive_nodes() -> list[Node]:
    """Returns the nodes of the cluster that have CPUs."""
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0.0) > 0]


def node_name(id: str) -> str:
    """Returns a node's address and the beginning of its id."""
    nodes = ray.nodes() if ray.is_initialized() else []
    found = next((node["NodeManagerAddress"] for node in nodes if node["NodeID"] == id), "")
    return f"{found} ({id[:8]})" if found else id[:8]


def _size(node: Node) -> tuple[float, float]:
    return node["Resources"].get("memory", 0.0), node["Resources"]["CPU"]
