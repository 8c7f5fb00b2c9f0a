"""A choice of any values by label: what is drawn, what the ledger keeps, and what is refused."""

from dataclasses import replace

import optuna
import pytest
from tiny import TRIAL

from skelray import BA, NA, HiCLR, Mask, Sweep, choose
from skelray.checks import UserError
from skelray.search.search import Search
from skelray.store.store import Store
from skelray.study.scale import Scale

ORDERS = {"BA, NA": (BA, NA), "NA, BA": (NA, BA), "BA + NA, Mask": (BA + NA, Mask)}


def space(trial):
    return replace(TRIAL, method=HiCLR(queue=32, arrangement=choose(trial, "order", ORDERS)))


def test_a_label_stands_for_its_value():
    for label, value in ORDERS.items():
        assert choose(optuna.trial.FixedTrial({"order": label}), "order", ORDERS) is value


def test_the_ledger_and_the_published_point_name_the_label(tmp_path):
    searching = Search("s", Sweep(space=space, published={"order": "NA, BA"}, samples=3), Scale(), Store(tmp_path), "d")
    first = searching.propose()
    assert first.params == {"order": "NA, BA"}
    assert searching.trial(first).method.arrangement == (NA, BA)


def same(a, b):
    return a


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({}, r"choose\('order'\) of {}: values by label are needed"),
        ([(BA,), (NA,)], "values by label are needed"),
        ({"": (BA,)}, "a choice of order ''"),
        ({1: (BA,)}, "a choice of order 1: text is needed"),
        ({"a": (BA, NA), "b": (BA, NA)}, "choices 'a' and 'b' of order are the same value"),
        ({"a": object()}, "cannot be part of a trial"),
        ({"a": lambda a, b: a}, "a lambda has no name"),
    ],
)
def test_choices_that_cannot_be_told_apart_are_refused(choices, said):
    with pytest.raises(UserError, match=said):
        choose(optuna.trial.FixedTrial({"order": "a"}), "order", choices)


def test_functions_numbers_and_backbones_may_be_chosen():
    choices = {"same": same, "three": 3, "small": TRIAL.backbone, "two": (2, 2)}
    for label, value in choices.items():
        assert choose(optuna.trial.FixedTrial({"p": label}), "p", choices) is value
