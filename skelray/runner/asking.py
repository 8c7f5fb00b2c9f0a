"""Asks each node of a cluster, those that join later too, whether it may run trials, before it gets one."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from skelray.runner import software
from skelray.runner.context import Context, Settings
from skelray.runner.fit import Needs, remove_needs, write_needs
from skelray.runner.nodes import Nodes, alive_nodes
from skelray.trial import Trial

ANSWER = 60.0  # seconds that a node has to say whether it is fit,
RATE = 50e6  # and one more for so many bytes of data, all of which it reads


class Asking:
    """The questions put to the nodes of a cluster, and their answers so far."""

    def __init__(self, nodes: Nodes, context: Context, settings: Settings, needs: Needs) -> None:
        self.nodes, self.context, self.settings, self.needs = nodes, context, settings, needs
        self.answer = ANSWER + needs.size / RATE
        self._waiting: dict[str, tuple[Any, float]] = {}  # by node: its reply to come, and when it was asked
        self._known: set[str] = set()

    def ask_new_nodes(self, patience: float = 0.0) -> None:
        """Asks nodes that are new, and reads answers for so many seconds; unfit nodes are excluded."""
        for new in {str(node["NodeID"]) for node in alive_nodes()} - self._known:
            self._known.add(new)
            self._waiting[new] = self._ask(new), time.monotonic()
        if not self._waiting:
            return
        replies = [reply for reply, _ in self._waiting.values()]
        ray.wait(replies, num_returns=len(replies), timeout=patience)
        for node, (reply, since) in list(self._waiting.items()):
            ready, _ = ray.wait([reply], timeout=0)
            if ready or time.monotonic() - since >= self.answer:
                del self._waiting[node]
                why = self._heard(node, reply)
                if why and any(one["NodeID"] == node for one in alive_nodes()):  # it is not lost meanwhile
                    self.nodes.exclude(node, why)
        self.nodes.asked = set(self._waiting)

    def _ask(self, node: str) -> Any:
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        for mine in (sys.modules[__name__], software):  # by value: the skelray of the node may be another
            ray.cloudpickle.register_pickle_by_value(mine)
        asked: Any = ray.remote(_why_unfit)
        content = pickle.dumps((self.settings, self.needs))
        return asked.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(self.needs.software, content, node)

    def _heard(self, node: str, reply: Any) -> str:
        try:
            why: str = ray.get(reply, timeout=0)
        except ray.exceptions.GetTimeoutError:
            return f"it did not answer in {self.answer:.0f} s"
        except Exception as error:  # skelray is not installed there, ...
            return f"it cannot run skelray: {(str(error).strip() or type(error).__name__).splitlines()[-1]}"
        if not why and self.context.store.read_json(self.needs.answer(node)) is None:
            return f"what it writes to the store {self.context.store.root} does not arrive there"
        return why


def _why_unfit(here: Mapping[str, str], content: bytes, node: str) -> str:
    """Returns what ``fit.why_unfit`` does, on a node, once that is known to run what the driver does.

    content: settings and needs.
    """
    if why := software.why_other(software.installed(), here):
        return why
    from skelray.runner.fit import why_unfit

    settings, needs = pickle.loads(content)  # from our own driver
    return why_unfit(settings, needs, node)


@contextmanager
def asking(nodes: Nodes, context: Context, settings: Settings, trials: list[Trial]) -> Iterator[Asking]:
    """Asks nodes, within the block, for what these trials need; those that are there have answered, or are excluded.

    Raises UserError where none is left.
    """
    needs = write_needs(context, trials)
    try:
        found = Asking(nodes, context, settings, needs)
        found.ask_new_nodes(found.answer)
        nodes.check_slots()
        yield found
    finally:
        remove_needs(context, needs)
