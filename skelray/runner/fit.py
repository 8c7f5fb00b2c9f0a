"""Whether a node may run trials of a study: it sees the driver's store, and has the same data."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial

from skelray.runner.context import Context, Settings, benchmarks_of, check_content_once, open_splits
from skelray.runner.execute import pin_targets
from skelray.runner.software import installed, why_other
from skelray.store.store import Store
from skelray.trial import Trial

PROBES = "probes"  # a folder of the store
_own_software = cache(installed)


class Unfit(RuntimeError):
    """This node may not run the trial; one sentence. It costs the trial nothing: it goes elsewhere. node: its id."""

    def __init__(self, why: str, node: str) -> None:
        super().__init__(why, node)  # all of it, so that it can be sent to another process
        self.node = node

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Needs:
    """What each node has to find. word: the driver's, in the store; data: benchmark, protocol and fingerprint; software: as
    ``software.installed`` has it. size: bytes of the data.
    """

    word: str
    data: tuple[tuple[str, str, str], ...]
    software: Mapping[str, str]
    size: int = 0

    @property
    def file(self) -> str:
        return f"{PROBES}/{self.word}.json"

    def answer(self, node: str) -> str:
        """Returns where a node leaves word in turn."""
        return f"{PROBES}/{self.word}-{node}.json"


def write_needs(context: Context, trials: Iterable[Trial]) -> Needs:
    """Writes the driver's word into the store, and asks for the data of these trials."""
    wanted = set[tuple[str, str]]().union(*map(benchmarks_of, trials))
    sizes = {name: context.load_splits(name, protocol).train.sequences.nbytes for name, protocol in wanted}
    data = tuple((*one, context.load_splits(*one).train.fingerprint) for one in sorted(wanted))
    needs = Needs(uuid.uuid4().hex, data, _own_software(), sum(sizes.values()))
    context.store.write_json(needs.file, {"word": needs.word})
    return needs


def remove_needs(context: Context, needs: Needs) -> None:
    """Removes the words from the store."""
    with suppress(OSError):
        for name in context.store.names(PROBES):
            if name.startswith(needs.word):
                context.store.remove(f"{PROBES}/{name}")


def why_unfit(settings: Settings, needs: Needs, node: str | None = None) -> str:
    """Returns why this machine may run no trial; empty if it may.

    node: its answer is left in the store under this name. All of the data is read, which may be damaged here alone.
    """
    try:
        store = Store(settings.store)
        if (store.read_json(needs.file) or {}).get("word") != needs.word:
            return f"it does not see the driver's store {settings.store}: that has to be a folder or URI that nodes share"
        if node is not None:
            store.write_json(needs.answer(node), {"node": node})
    except (OSError, ValueError) as error:
        return f"it cannot use the store {settings.store}: {' '.join(str(error).split())}"
    for benchmark, protocol, fingerprint in needs.data:
        try:
            found = open_splits(settings.data, benchmark, protocol).train.fingerprint
            check_content_once(settings.data, benchmark)
        except (OSError, ValueError) as error:
            return f"it cannot read the data: {' '.join(str(error).split())}"
        if found != fingerprint:
            return f"its {benchmark} in {settings.data} is other data than the driver's ({found}, not {fingerprint})"
    return ""


def check_fit(settings: Settings, needs: Needs, trial: Trial, node: str) -> None:
    """Raises Unfit where this worker would compute something else than the driver asked for."""
    if why := why_other(_own_software(), needs.software) or why_unfit(settings, needs):
        raise Unfit(why, node)
    load = partial(open_splits, settings.data)
    if pin_targets(trial, load(trial.benchmark, trial.protocol), load) != trial:
        raise Unfit("it has other data than the driver's for a transfer", node)
