"""In which order should augmentations enter HiCLR's branches, and which may enter together?

Table 2 of the paper tries five arrangements of BA, NA and Mask. With Drop/Add Edges and AdaIN beside them there are 961
of one to four branches: permutations, merges, and sets that stay out. Each set has a parameter that says in which branch
it enters, so that what is learnt of one order tells of others. All else is as published. Optuna proposes, the published
arrangement first; ASHA stops the weak early, by 1-NN accuracy on held-out training subjects. What is shared with
arrangement.py (under seed 0) has another id, as here the held-out subjects are left out of training.
214 h of training at 1000 samples/s if none were stopped.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/order_asha.py       # 64 samples: about 6 000 of 19 200 epochs; simulated, 3 000 to 9 000
    skelray report order_asha
"""

from dataclasses import replace
from functools import reduce
from operator import add

from skelray import ASHA, BA, DAE, NA, TPE, AdaIN, HiCLR, Mask, Sweep, papers

SETS = (BA, NA, Mask, DAE, AdaIN)  # those of a branch are applied in this order
PLACES = ("out", "1st", "2nd", "3rd", "4th")


def space(trial):
    """Optuna's define-by-run: where each set enters. Empty branches close up; with all sets out BA is left."""
    entering = {one: trial.suggest_categorical(f"{one.name} enters", PLACES) for one in SETS}
    branches = [[one for one in SETS if entering[one] == place] for place in PLACES[1:]]
    arrangement = tuple(reduce(add, branch) for branch in branches if branch)
    return replace(papers.HICLR, method=HiCLR(arrangement=arrangement or (BA,)))


study = Sweep(
    space=space,
    published={"BA enters": "1st", "NA enters": "2nd", "Mask enters": "3rd", "DAE enters": "out", "AdaIN enters": "out"},
    samples=64,
    sampler=TPE(seed=0),
    stopping=ASHA(grace=25, reduction=3),
)
