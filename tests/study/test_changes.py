"""Fields changed by name and by text: every field of every part takes what fits it and refuses what does not."""

from dataclasses import dataclass, fields, replace
from typing import Literal, NewType, Optional

import pytest
from tiny import TRIAL

from skelray import papers
from skelray.backbones import DSTA, GRU, STGCN, Hierarchical
from skelray.checks import UserError
from skelray.methods import AimCLR, CrosSCLR, HiCLR, HiCo, SkeletonCLR
from skelray.study.changes import changed, field_path
from skelray.trial import SGD

Rate = NewType("Rate", float)
PARTS = {
    **{type(m).__name__: ("method", m) for m in (SkeletonCLR(), CrosSCLR(), AimCLR(), HiCLR(), HiCo())},
    **{type(b).__name__: ("backbone", b) for b in (STGCN(), DSTA(), Hierarchical())},
    "SGD": ("optimizer", SGD()),
}
FIELDS = [(name, field.name) for name, (_, part) in PARTS.items() for field in fields(part)]
TEXT = {  # by field: what it takes as text, where another number than the one there is does not do
    "m": "0.5", "momentum": "0.5", "key_init": "independent", "init": None, "partition": None, "absent": "exclude",
    "downsampling": "full", "branches": '["spatial"]', "levels": '["clip", "part"]', "kernel": "7", "similarity": "l1",
    "weights": "[1, 0.5]", "layers": "[[4, 4, 2, 1], [4, 8, 2, 2]]", "dropout": "0.25", "extreme": "null", "eadm": "null",
}  # fmt: skip
NOT_AS_TEXT = {"query", "key", "normal", "arrangement", "s2s"}


def trial_with(name):
    home, part = PARTS[name]
    if name == "AimCLR":
        part = replace(part, eadm=None)  # so that extreme may be left out
    return replace(papers.HICLR, **{home: part}), home


def valid_text(part, name):
    value = getattr(part, name)
    if name in TEXT:
        return TEXT[name]
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int):
        return str(value + 1)
    return str(value / 2 + 0.07) if isinstance(value, float) else "[3, 4]" if isinstance(value, tuple) else None


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_field_takes_its_kind_of_text_and_no_other(name, field):
    trial, home = trial_with(name)
    part = getattr(trial, home)
    text = valid_text(part, field)
    if field in NOT_AS_TEXT:
        with pytest.raises(UserError, match=f"^{field} "):
            changed(trial, {field: "3"})
        return
    if text is not None:
        for given in (field, f"{home}.{field}")[field == "frames" :]:  # alone it is the trial's
            found = getattr(getattr(changed(trial, {given: text}), home), field)
            assert found != getattr(part, field) or text == "null"
            assert type(found) in (type(getattr(part, field)), int, float, tuple, type(None))
    wrong = "[true]" if isinstance(getattr(part, field), str) else "abc"
    for bad in (wrong, "{}", "", '"x"', "9" * 5000):
        with pytest.raises(UserError):
            changed(trial, {f"{home}.{field}": bad})


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("epochs", ("7", 7), "7.5"),
        ("batch_size", ("7", 7), "0"),
        ("seed", ("7", 7), "-1"),
        ("frames", ("7", 7), "7.5"),
        ("frames", ("null", None), "true"),
        ("frames", ("None", None), "many"),
        ("imported", ("null", None), None),
        ("precision", ("bfloat16", "bfloat16"), "half"),
        ("stream", ("bone", "bone"), "sound"),
        ("protocol", ("xview", "xview"), None),
        ("benchmark", ("nwucla", "nwucla"), None),
        ("monitor", ("null", None), "5"),
    ],
)
def test_every_field_of_a_trial(field, good, bad):
    assert getattr(changed(papers.HICLR, {field: good[0]}), field) == good[1]
    assert getattr(changed(papers.HICLR, {f"trial.{field}": good[0]}), field) == good[1]
    if bad is not None:
        with pytest.raises(UserError, match=field):
            changed(papers.HICLR, {field: bad})


@dataclass(frozen=True)
class Own:
    """A backbone of a user's with fields of all sorts."""

    maybe: Optional[int] = None  # noqa: UP045 - as users write it
    rate: Optional[float] = 0.5  # noqa: UP045
    kind: Literal["a", "b"] = "a"
    either: int | str = 1
    name: str | None = None
    loose = 3
    untyped: "NotThere" = 2  # noqa: F821 - a name that nothing resolves
    tau: float = 1.0

    def build(self, skeleton):
        return None


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [("maybe", "3", 3), ("maybe", "null", None), ("rate", "2", 2), ("rate", "none", None), ("kind", "b", "b"),
     ("name", "null", None), ("name", "x", "x"), ("untyped", "5", 5)],
)  # fmt: skip
def test_what_a_field_takes_is_said_by_its_type(field, text, value):
    trial = replace(TRIAL, backbone=Own())
    assert getattr(changed(trial, {field: text}).backbone, field) == value
    again = replace(TRIAL, backbone=replace(Own(), maybe=4, rate=None, name="y"))
    assert getattr(changed(again, {field: text}).backbone, field) == value


@pytest.mark.parametrize(("field", "text"), [("maybe", "2.5"), ("maybe", "x"), ("rate", "[1]"), ("untyped", "null")])
def test_and_what_it_refuses(field, text):
    for backbone in (Own(), replace(Own(), maybe=4)):
        with pytest.raises(UserError, match=field):
            changed(replace(TRIAL, backbone=backbone), {field: text})


def test_a_field_of_an_optional_part_that_is_not_there_says_what_is_needed():
    with pytest.raises(UserError, match="frames 'x': a whole number or null is needed"):
        changed(papers.SKELETONCLR, {"frames": "x"})


def test_a_name_that_several_parts_have_names_them():
    trial = replace(TRIAL, backbone=Own())
    with pytest.raises(UserError, match=r"field 'tau' is in several parts: say method\.tau or backbone\.tau"):
        field_path(trial, "tau")
    both = changed(trial, {"method.tau": "0.5", "backbone.tau": "2"})
    assert (both.method.tau, both.backbone.tau) == (0.5, 2)


@pytest.mark.parametrize(
    ("name", "path"),
    [("frames", ("frames",)), ("trial.frames", ("frames",)), ("backbone.frames", ("backbone", "frames")),
     ("s2s", ("backbone", "s2s")), ("backbone.s2s.layers", ("backbone", "s2s", "layers")), ("tau", ("method", "tau"))],
)  # fmt: skip
def test_where_a_field_lives(name, path):
    trial = replace(papers.HICO_TRANSFORMER, backbone=Hierarchical(s2s=GRU()))
    assert field_path(trial, name) == path


@pytest.mark.parametrize(
    ("name", "said"),
    [("backbone.widht", "no 'widht' in Hierarchical; it has hidden_dim"), ("backbone.frames.x", "no .x. in int; it has"),
     ("nothing.frames", "no 'nothing' in Trial; it has benchmark"), ("backbone.", "no '' in Hierarchical"), (".", "no ''")],
)  # fmt: skip
def test_a_place_that_is_not_there_says_what_is(name, said):
    with pytest.raises(UserError, match=said):
        changed(papers.HICO_TRANSFORMER, {name: "1"})


@dataclass(frozen=True)
class Loose(Own):
    """Types that say less than the values do."""

    number: Rate = 0.5
    wrong: int = 0.5
    part: object = 1.0


@pytest.mark.parametrize("field", ["number", "wrong", "part"])
def test_what_is_like_the_value_now_fits(field):
    trial = replace(TRIAL, backbone=Loose())
    assert getattr(changed(trial, {field: "0.75"}).backbone, field) == 0.75
    assert getattr(changed(trial, {field: 0.75}).backbone, field) == 0.75
    with pytest.raises(UserError, match=f"{field} 'x': a value like"):
        changed(trial, {field: "x"})
