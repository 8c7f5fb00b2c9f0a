"""Takes files of trials away, where no process works on them and the trial does not need them any more.

Figures and histories are never taken: tables are made of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from skelray.store.files import StoreError
from skelray.store.stored_trial import StoredTrial

CHECKPOINT = r"checkpoint(?:-(\d+))?\.pt"


def ended_checkpoints(stored: StoredTrial, stopped: Collection[str] = ()) -> list[str]:
    """Returns the files of training states that nothing will go on from: none is beyond the trial's encoders and figures.

    stopped: ids of trials that a search has stopped, which go on no more. None where an encoder needs a state's mask values.
    """
    files = stored.store.names(stored.id)
    found = (re.fullmatch(r"encoder-(\d+)\.pt|(\d+)-\w+\.json", file) for file in files)
    ended = {int(one[1] or one[2]) for one in found if one}
    states = [(one[0], one[1]) for file in files if (one := re.fullmatch(CHECKPOINT, file))]
    if stored.id not in stopped:
        states = [one for one in states if (int(one[1]) if one[1] else stored.last_epoch(files)) in ended]
    return [] if states and _lacks_masks(stored, files) else [file for file, _ in states]


def is_pruned(stored: StoredTrial, epochs: int) -> bool:
    """Returns whether a trial of so many epochs has been trained, at least in part, and has nothing left to go on from."""
    files = stored.folder.names()
    left = any(re.fullmatch(CHECKPOINT, file) or file == f"encoder-{epochs}.pt" for file in files)
    told = rf"checkpoint(-{epochs})?\.json|encoder-{epochs}\.json|record-{epochs}\.json|{epochs}-\w+\.json"
    return not left and any(re.fullmatch(told, file) for file in files)


def _lacks_masks(stored: StoredTrial, files: Collection[str]) -> bool:
    """Returns whether an encoder is from before mask values were kept with it: only a checkpoint has these."""
    numbers = [int(one[1]) for file in files if (one := re.fullmatch(r"encoder-(\d+)\.pt", file))]
    encoders = (stored.encoder(number) for number in numbers)
    return any(encoder is not None and "masks" not in encoder for encoder in encoders)


def drop_checkpoints(stored: StoredTrial, stopped: Collection[str] = ()) -> list[str] | None:
    """Removes those; returns their files. None: a process works on the trial now."""
    if stored.store.in_use(stored.id):
        return None
    if not ended_checkpoints(stored, stopped):
        return []
    try:
        with stored.store.claim_at_once(stored.id):
            gone = ended_checkpoints(stored, stopped)
            for file in gone:
                stored.store.remove(f"{stored.id}/{file}")
    except StoreError:
        return None
    return gone


def drop_of_encoder(stored: StoredTrial, file: str) -> bool:
    """Removes an encoder, or scores that were made with it; returns whether no process worked on the trial."""
    epochs = re.fullmatch(r"(?:encoder-)?(\d+)[.-].*", file)
    if epochs is None or stored.store.in_use(stored.id):
        return False
    try:
        with stored.store.claim_at_once(stored.id, f".lock-{epochs[1]}"):
            stored.store.remove(f"{stored.id}/{file}")
    except StoreError:
        return False
    return True
