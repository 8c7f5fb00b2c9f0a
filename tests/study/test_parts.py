"""Studies of parts: which arms they have, what each changes, and what is compared."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny import TRIAL

from skelray.checks import UserError
from skelray.evaluation import Linear
from skelray.methods import HiCLR
from skelray.runner.study_file import load_study
from skelray.study.parts import AddOneIn, Factorial, LeaveOneOut
from skelray.study.scale import Scale

PARTS = {"fast": {"lr": 0.3}, "warm": {"tau": 0.2}, "long": {"epochs": 8}}
STUDIES = Path(__file__).parents[2] / "studies"


def test_a_factorial_has_every_set_of_parts():
    study = Factorial(base=TRIAL, parts=PARTS, seeds=range(2))
    arms = {cell.arm: cell.trial for cell in study.cells()}
    assert len(arms) == 8
    assert len(study.cells()) == 16
    assert (arms["none"].optimizer, arms["none"].epochs) == (TRIAL.optimizer, 4)
    whole = arms["fast + warm + long"]
    assert (whole.optimizer.lr, whole.method.tau, whole.epochs) == (0.3, 0.2, 8)
    assert study.notes().parts["fast + long"] == ("fast", "long")


def test_leaving_out_and_adding_in_compare_with_the_whole_and_the_base():
    out = LeaveOneOut(base=TRIAL, parts=PARTS)
    assert [cell.arm for cell in out.cells()] == ["all", "without fast", "without warm", "without long"]
    assert [(one.arm, one.other) for one in out.notes().contrasts] == [("all", f"without {name}") for name in PARTS]
    assert out.notes().parts["without warm"] == ("fast", "long")
    added = AddOneIn(base=TRIAL, parts=PARTS)
    assert [cell.arm for cell in added.cells()] == ["none", *PARTS]
    assert [(one.arm, one.other) for one in added.notes().contrasts] == [(name, "none") for name in PARTS]


def test_two_parts_of_one_field_are_functions():
    with pytest.raises(UserError, match="'fast' and 'faster' both set lr: give functions"):
        Factorial(base=TRIAL, parts={"fast": {"lr": 0.3}, "faster": {"lr": 0.5}})

    def faster(trial):
        return replace(trial, optimizer=replace(trial.optimizer, lr=10 * trial.optimizer.lr))

    study = Factorial(base=TRIAL, parts={"ten": faster, "again": faster})
    assert [cell.trial.optimizer.lr for cell in study.cells()] == pytest.approx([0.1, 1.0, 1.0, 10.0])


def test_a_part_may_bring_another_method():
    study = AddOneIn(base=TRIAL, parts={"HiCLR": {"method": HiCLR(queue=32, dim=8)}})
    assert type(study.cells()[1].trial.method) is HiCLR


def test_published_numbers_stand_by_the_parts_that_are_on():
    parts = {"fast": {"lr": 0.3}, "warm": {"tau": 0.2}}
    trial = replace(TRIAL, benchmark="ntu60", evaluations=(Linear(),))
    study = Factorial(base=trial, parts=parts, published={("fast",): {"xsub": 70.0}})
    assert {cell.arm: cell.published for cell in study.cells()}["fast"] == {"linear": 0.7}
    with pytest.raises(UserError, match="published names"):
        Factorial(base=trial, parts=parts, published={("slow",): {"xsub": 70.0}})


@pytest.mark.parametrize("parts", [{}, {"a + b": {"lr": 0.3}}, {f"p{n}": {"lr": n / 10} for n in range(1, 9)}])
def test_what_cannot_be_a_factorial_is_refused(parts):
    with pytest.raises(UserError):
        Factorial(base=TRIAL, parts=parts)


def test_the_projects_factorials_share_what_is_the_same():
    _, hico, _ = load_study(STUDIES / "hico_factorial.py")
    cells = hico.cells(Scale(seeds=(0,), protocols=("xsub",)))
    assert len(cells) == 8
    assert len({cell.trial.id("") for cell in cells}) == 6
    _, aimclr, _ = load_study(STUDIES / "aimclr_factorial.py")
    assert len(aimclr.cells()) == 144
    assert len(aimclr.fused()) == 48
    assert len({cell.trial.id("") for cell in aimclr.cells()}) == 144
