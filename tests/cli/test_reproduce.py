"""`skelray reproduce`: a paper's tables as one page, and a row's trial again."""

import re
from pathlib import Path

import pytest
from command_line import call
from small_study import TINY, study_file

from skelray.checks import UserError
from skelray.papers import CENTRED, RIGID
from skelray.results.tables import load
from skelray.runner.reproduction import data_root, find_paper_studies, required_preprocessing
from skelray.runner.study_file import load_study

TABLE = '''
    """HiCLR, Table {number}: does it run?"""
    from skelray import KNN, Ablation, Arm, papers
    from dataclasses import replace
    study = Ablation(base=replace(papers.HICLR, evaluations=(KNN(),)), seeds=range(2), published_by="knn",
                     arms=[Arm("first", {{"lr": 0.1}}, {{"xsub": 50.0}}), Arm("second", {{"lr": {lr}}}, {{"xsub": 60.0}})])
'''


def written(folder, **tables):
    for name, (number, lr) in tables.items():
        text = TABLE.format(number=number, lr=lr)
        (folder / f"{name}.py").write_text("\n".join(line[4:] for line in text.splitlines()).strip() + "\n")
    return folder


@pytest.fixture
def words(tmp_path, synthetic_data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    settings = [word for name, value in TINY if name != "queue" for word in ("--set", f"{name}={value}")]
    return ["--demo", "--protocol", "xview", "--epochs", "1", *settings, "--data", synthetic_data, "--inline"]


def test_all_tables_of_a_paper_run_and_stand_on_one_page(monkeypatch, capsys, words, tmp_path):
    written(tmp_path / "studies", one=(2, 0.2), two=(3, 0.3))
    status, out, err = call(monkeypatch, capsys, "reproduce", "hiclr", *words)
    assert status == 0, err
    assert out.strip().endswith("results/reproduction_hiclr_demo.md")
    page = (tmp_path / "results" / "reproduction_hiclr_demo.md").read_text()
    assert re.findall("^## (Table .): does it run", page, re.MULTILINE) == ["Table 2", "Table 3"]
    assert "Published figures: 4 not measured" in page  # generated data stands beside no paper's number
    assert {"one_demo", "two_demo"} == set(load(None, tmp_path / "results")["study"])


def test_a_table_that_cannot_run_costs_itself_alone(monkeypatch, capsys, words, tmp_path):
    written(tmp_path / "studies", one=(2, 0.2), two=(3, 1e30))
    status, _, _ = call(monkeypatch, capsys, "reproduce", "hiclr", *words)
    page = (tmp_path / "results" / "reproduction_hiclr_demo.md").read_text()
    assert status == 1
    assert set(load("one_demo", tmp_path / "results")["status"]) == {"done"}
    assert page.index("studies/one.py") < page.index("studies/two.py")


def test_data_that_is_missing_is_said_with_the_option_that_brings_it(monkeypatch, capsys, words, tmp_path):
    written(tmp_path / "studies", one=(2, 0.2))
    status, _, err = call(monkeypatch, capsys, "reproduce", "hiclr", "--data", "nowhere", "--inline")
    assert status == 1
    assert "one does not run: ntu60 is not prepared in nowhere: give its raw files as --source ntu60=PATH" in err
    assert "Not run: ntu60 is not prepared" in (tmp_path / "results" / "reproduction_hiclr.md").read_text()


def test_a_rows_trial_is_run_again(monkeypatch, capsys, words, tmp_path):
    written(tmp_path / "studies", one=(2, 0.2))
    call(monkeypatch, capsys, "run", "studies/one.py", *words, "--name", "again")
    id = load("again", tmp_path / "results")["trial"].iloc[0]
    status, out, err = call(monkeypatch, capsys, "reproduce", id[:6], "--data", words[words.index("--data") + 1])
    assert status == 0, err
    assert f"first, trial {id}, in %: 2 of 2 numbers are the same to the last digit" in out


@pytest.mark.parametrize("table", ["2", "T2", "table 2", "one"])
def test_a_table_is_named_by_number_or_by_study(tmp_path, table):
    written(tmp_path, one=(2, 0.2), two=(3, 0.3))
    assert [shown.path.stem for shown in find_paper_studies("hiclr", tmp_path, table)] == ["one"]


def test_a_table_that_no_study_has_is_said(tmp_path):
    written(tmp_path, one=(2, 0.2))
    with pytest.raises(UserError, match=r"has 7 of HiCLR; those of it are one \(Table 2\)"):
        find_paper_studies("hiclr", tmp_path, "7")


def test_data_of_another_preparation_lies_beside(tmp_path):
    body = 'study = Ablation(base=papers.HICO_GRU, arms=[Arm("GRU")])'
    _, study, _ = load_study(study_file(tmp_path, body))
    assert required_preprocessing(study) == {"ntu60": RIGID}
    assert data_root(tmp_path / "data", [RIGID]) == tmp_path / "data300"


def test_each_benchmark_of_a_table_is_prepared_as_its_numbers_were(tmp_path):
    """HiCo read 300 frames of NTU RGB+D and 50 of PKU-MMD, of a transfer's target too."""
    places = '[("ntu60", "xsub"), ("pku_mmd1", "xsub")]'
    body = f"""
    from skelray import Transfer
    base = replace(papers.HICO_GRU, evaluations=(Transfer("pku_mmd2", "xsub", Linear()),))
    study = Ablation(base=base, on={places}, arms=[Arm("GRU")])
    """
    _, study, _ = load_study(study_file(tmp_path, body))
    assert required_preprocessing(study) == {"ntu60": RIGID, "pku_mmd1": CENTRED, "pku_mmd2": CENTRED}
    assert data_root(tmp_path / "data", required_preprocessing(study).values()) == tmp_path / "data300"


def test_every_table_of_each_paper_has_a_study():
    shown = {
        paper: find_paper_studies(paper, Path(__file__).parents[2] / "studies") for paper in ("aimclr", "hiclr", "hico")
    }
    tables = {paper: sorted({n for one in ones for n in one.table_numbers}, key=int) for paper, ones in shown.items()}
    assert tables == {"aimclr": list("12345678"), "hiclr": list("1234567"), "hico": list("123456")}
