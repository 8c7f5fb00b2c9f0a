"""In which order should augmentations enter HiCLR's branches, and which may enter together?

Table 2 of the paper tries five arrangements of BA, NA and Mask. There are 13, permutations and merges, and as many with
Drop/Add Edges or AdaIN in the place of Mask: 39. All else is as published. Optuna proposes, the published arrangement first;
ASHA stops the weak early, by 1-NN accuracy on held-out training subjects. What is shared with arrangement.py (under seed 0)
has another id, as here the held-out subjects are left out of training.

    skelray run studies/order_asha.py       # 39 samples: about 2 900 epochs, of 11 700 if none were stopped
    skelray report order_asha
"""

from dataclasses import replace

from skelray import ASHA, BA, DAE, NA, TPE, AdaIN, HiCLR, Mask, Sweep, choose, orders, papers

STRONG = {"Mask": Mask, "DAE": DAE, "AdaIN": AdaIN}
PLACES = list(orders([BA, NA, replace(Mask, name="strong")]))  # "BA, NA, strong" and 12 others


def space(trial):
    """Optuna's define-by-run: one parameter for the order, whatever is the strong set, so that what is learned is shared."""
    strong = choose(trial, "strong", STRONG)
    arrangements = dict(zip(PLACES, orders([BA, NA, strong]).values(), strict=True))
    return replace(papers.HICLR, method=HiCLR(arrangement=choose(trial, "order", arrangements)))


study = Sweep(
    space=space,
    published={"strong": "Mask", "order": "BA, NA, strong"},
    samples=39,
    sampler=TPE(seed=0),
    stopping=ASHA(grace=25, reduction=3),
)
