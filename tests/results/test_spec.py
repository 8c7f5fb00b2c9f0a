"""The spec that tables keep of a trial makes the trial again."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from skelray import BA, NA, AugmentationSet, Mask, load, papers
from skelray.checks import UserError
from skelray.identity.canonical import canonical
from skelray.results.spec import trial_of
from skelray.trial import Trial

ROOT = Path(__file__).parent.parent.parent
PAPERS = {name: thing for name, thing in vars(papers).items() if isinstance(thing, Trial)}


def spec(trial):
    """As it comes out of a table."""
    return json.loads(json.dumps(canonical(trial), sort_keys=True))


def arranged(*arrangement):
    return replace(papers.HICLR, method=replace(papers.HICLR.method, arrangement=arrangement))


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_trial_comes_back(name):
    made = trial_of(spec(PAPERS[name]))
    assert made == PAPERS[name]
    assert made.id("data") == PAPERS[name].id("data")


def test_every_trial_of_the_committed_tables_comes_back():
    specs = {text for text in load(None, ROOT / "results")["spec"] if "ensemble" not in json.loads(text)}
    assert len(specs) > 20
    for text in specs:
        made = canonical(trial_of(json.loads(text)))
        assert [
            name for name, value in json.loads(text).items() if name not in ("method", "search") and made[name] != value
        ] == []


@dataclass(frozen=True)
class Still:
    """An augmentation of one's own, which does nothing."""

    strength: float = 0.5

    def __call__(self, view):
        return view


def test_a_part_of_ones_own_comes_from_the_study_file():
    own = replace(
        papers.HICLR, method=replace(papers.HICLR.method, arrangement=(BA, AugmentationSet("Still", (Still(0.25),))))
    )
    with pytest.raises(UserError, match=r"a part 'Still'.*name the study file"):
        trial_of(spec(own))
    assert trial_of(spec(own), SimpleNamespace(Still=Still)) == own


def test_a_definition_that_has_changed_is_said():
    own = spec(
        replace(papers.HICLR, method=replace(papers.HICLR.method, arrangement=(AugmentationSet("S", (Still(),)), NA)))
    )
    own["method"]["arrangement"][0]["augmentations"][0]["source"] = "0" * 16
    with pytest.raises(UserError, match=r"trial.method.arrangement\[0\].*source is '0000000000000000' in the spec"):
        trial_of(own, SimpleNamespace(Still=Still))


def test_a_field_that_came_later_is_at_its_default():
    older = spec(arranged(BA, NA, Mask))
    del older["method"]["arrangement"][2]["augmentations"][0]["per_sample"]
    assert trial_of(older) == papers.HICLR


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"optimizer": {"type": "SGD", "rate": 0.1}}, "SGD has other fields than today's"),
        ({"backbone": {"type": "ResNet"}}, "a part 'ResNet', which this code does not have"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_what_is_no_trial_of_this_code_is_one_sentence(change, told):
    with pytest.raises(UserError, match=told):
        trial_of({**spec(papers.HICLR), **change})
