"""The project's searches: their spaces hold what was published, their plans expand, and each runs on generated data."""

import itertools
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

from skelray import BA, DAE, NA, AdaIN, Mask, orders, papers
from skelray.cli.main import cli
from skelray.identity.canonical import canonical
from skelray.results.tables import load
from skelray.runner.study_file import load_study

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted((ROOT / "studies").glob("*_asha.py"))
ASHA = {path.stem: load_study(path)[1] for path in FILES}
BASES = {"lambda_h": papers.HICLR, "order": papers.HICLR, "aimclr": papers.AIMCLR, "hico": papers.HICO_TRANSFORMER}


def at(name, **params):
    return ASHA[name].space(optuna.trial.FixedTrial(params))


def lambda_h(**params):
    return at("lambda_h_asha", **params).method


@pytest.mark.parametrize("name", ASHA)
def test_a_search_starts_at_the_published_setting(name):
    """The very trial of the paper, so that nothing but its monitor differs from the paper's table."""
    found = at(name, **ASHA[name].published)
    assert canonical(found) == canonical(BASES[name.removesuffix("_asha")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_file_says_what_it_asks_how_it_is_run_and_what_it_costs(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 90
    assert f"skelray run studies/{path.name}" in text
    assert f"# {ASHA[path.stem].samples} samples: about " in text
    assert "?" in text.splitlines()[0] or text.startswith('"""What')


@pytest.mark.parametrize("name", ASHA)
def test_every_point_of_its_space_is_a_trial(name):
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    ids = {ASHA[name].space(drawn.ask()).id("data") for _ in range(30)}
    assert len(ids) > 15


def test_the_published_cosine_and_l1_lie_inside_with_mining_as_in_their_recipes():
    for similarity, weight in (("kl", 0.5), ("cosine", 7.0), ("l1", 5.0)):
        point = {"similarity": similarity, "k": 3, f"lambda_h_{similarity}": weight, "tau": 0.07}
        asked = optuna.trial.FixedTrial(point)
        found = ASHA["lambda_h_asha"].space(asked).method
        assert (found.lambda_h, found.mining_branches) == (weight, 3 if similarity == "kl" else 1)
        (named,) = (name for name in asked.distributions if name.startswith("lambda_h"))
        assert asked.distributions[named].low == pytest.approx(weight / 10)
        assert asked.distributions[named].high == pytest.approx(weight * 10)


def test_k_4_is_the_slides_recipe():
    _, strong, _ = load_study(ROOT / "studies" / "strong.py")
    (slides,) = (arm.changes["method"] for arm in strong.arms if arm.label == "[BA, NA, DAE, AdaIN]")
    found = lambda_h(similarity="kl", k=4, lambda_h_kl=0.5, tau=0.07)
    assert canonical(found) == canonical(slides)


def test_every_arrangement_of_the_five_sets_is_in_the_space_of_order():
    """Permutations, merges and what leaves sets out, of one to four branches: those that ``orders`` gives."""
    places = optuna.trial.FixedTrial(dict(ASHA["order_asha"].published))
    ASHA["order_asha"].space(places)
    names = list(places.distributions)
    found = set()
    for chosen in itertools.product(*(places.distributions[name].choices for name in names)):
        found.add(at("order_asha", **dict(zip(names, chosen, strict=True))).method.arrangement)
    expected = orders([BA, NA, Mask, DAE, AdaIN], k=4, partial=True)
    assert found == set(expected.values())
    assert len(found) == 961


def test_a_granularity_of_each_branch_is_in_the_space_of_hico():
    point = {"levels": "clip+part", "tau": 0.2, "temporal_granularity": 2, "spatial_granularity": 3}
    assert at("hico_asha", **point).backbone.granularities() == {"temporal": 2, "spatial": 3}


def test_without_mining_there_is_no_number_of_neighbours():
    asked = optuna.trial.FixedTrial({"mining_from": 300, "threshold": 0.7, "beta": 1.0})
    ASHA["aimclr_asha"].space(asked)
    assert "mining_k" not in asked.distributions


@pytest.mark.parametrize("name", ASHA)
def test_its_demonstration_is_planned(name, tmp_path, synthetic_data):
    command = ["plan", str(ROOT / f"studies/{name}.py"), "--demo", "--data", str(synthetic_data)]
    done = CliRunner().invoke(cli, [*command, "--store", str(tmp_path)])
    assert done.exception is None, done.exception
    assert "8 trials, 0 done, 8 to run, 16 epochs" in done.output
    assert "best sample (test)" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ASHA, "fusion_weights"])
def test_its_demonstration_runs(name, tmp_path):
    places = ["--data", str(tmp_path / "data"), "--store", str(tmp_path / "store"), "--results", str(tmp_path)]
    done = CliRunner().invoke(cli, ["run", str(ROOT / f"studies/{name}.py"), "--demo", "--inline", *places])
    assert done.exit_code == 0, done.output
    frame = load(f"{name}_demo", tmp_path)
    assert set(frame["status"]) <= {"done", "stopped"}
    if name in ASHA:
        assert frame.loc[frame["metric"] == "held_out_top1", "arm"].nunique() == 8
        assert (frame["arm"] == "published (test)").any()
    else:
        assert {"published weights", "chosen weights"} <= set(frame["arm"])
