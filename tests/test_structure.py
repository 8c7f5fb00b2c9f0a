"""The shape of the package: imports point one way, dependencies have homes, the core needs neither Ray nor Optuna."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "skelray"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}

# A module may import what stands before its room, and within a room what makes no circle.
ORDER = (
    *("names", "checks", "markup", "atomic", "contained", "ensemble", "skeleton", "machine", "identity"),
    *("data.persons", "data.preprocess", "data.benchmark", "data.stored", "data.content", "data.report"),
    *("data.formats", "data.synthetic", "data.benchmarks", "data.own", "data.catalogue", "data.detect"),
    *("data.dataset", "data.inspection", "data.preparation", "data"),
    *("augment", "backbones", "methods", "engine.resident", "engine.descent", "engine.runners"),
    *("evaluation", "trial", "papers", "engine", "training", "released", "store"),
    *("study", "search", "testing", "results", "report", "bench", "runner", "cli"),
)

HOMES = {
    "ray": {"runner"},
    "optuna": {"search", "study", "testing"},
    "click": {"cli"},
    "matplotlib": {"data", "evaluation", "report"},
    "scipy": {"data", "results"},
    "rich": {"cli"},
    "jinja2": {"report"},
    "tensorboardX": {"report"},
    "mlflow": {"report"},
    "wandb": {"report"},
    "pyarrow": {"data", "results", "store"},
    "sklearn": {"evaluation"},
    "pandas": {"bench", "data", "report", "results", "runner"},
}
LAZY = {  # only inside functions, so that the command answers at once
    ("matplotlib", "data"),
    ("matplotlib", "evaluation"),
    ("matplotlib", "report"),
    ("jinja2", "report"),
    ("tensorboardX", "report"),
    ("mlflow", "report"),
    ("wandb", "report"),
    ("scipy", "data"),
    ("scipy", "results"),
    ("sklearn", "evaluation"),
}


def module(path):
    """The first name under skelray: a module or a package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree):
    """(top name, the module of skelray or None, line, whether at the head of the file) of every import."""
    heads = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [node.module] if node.module != "skelray" else [f"skelray.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            ours = parts[1] if parts[0] == "skelray" and len(parts) > 1 else None
            yield parts[0], ours, node.lineno, id(node) in heads


def where(path, line):
    return f"{path.relative_to(PACKAGE.parent)}:{line}"


def test_the_order_names_every_module():
    assert [dotted(path) for path in FILES if dotted(path) and room(dotted(path)) is None] == []


def test_imports_point_down_the_order():
    wrong = [
        f"{where(path, line)} imports {ours}"
        for path, tree in TREES.items()
        if dotted(path)
        for ours, line in read(tree)
        if ORDER.index(room(ours)) > ORDER.index(room(dotted(path)))
    ]
    assert wrong == []


def test_no_module_imports_the_whole_package():
    wrong = [
        where(path, node.lineno)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and any(alias.name == "skelray" for alias in node.names)
    ]
    assert wrong == []


@pytest.mark.parametrize("dependency", HOMES)
def test_a_heavy_dependency_stays_at_home(dependency):
    users = {}
    for path, tree in TREES.items():
        for top, _, line, at_head in imported(tree):
            if top == dependency:
                users.setdefault(module(path), []).append((where(path, line), at_head))
    assert set(users) <= HOMES[dependency], users
    for name, lines in users.items():
        if (dependency, name) in LAZY:
            assert not any(at_head for _, at_head in lines), lines


def test_what_the_core_imports_at_its_head_has_neither_ray_nor_optuna():
    """Followed from ``import skelray`` and its speed measurements through every file that they load."""
    heads = {
        dotted(path): ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
        for path, tree in TREES.items()
    }
    reached, new = set(), {"", "bench.bench"}
    while new:
        reached |= new
        new = {ours for module in new for ours, _ in read(heads[module])} - reached
    tops = {top for module in reached for top, *_ in imported(heads[module])}
    assert tops.isdisjoint({"ray", "optuna", "rich", "click", "sklearn", "matplotlib"})


def calls(tree, name):
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_keeps_the_conventions(path):
    tree = TREES[path]
    assert ast.get_docstring(tree), "a module opens with one sentence"
    forbidden = [where(path, n.lineno) for name in ("print", "eval", "exec") for n in calls(tree, name)]
    forbidden += [where(path, n.lineno) for n in ast.walk(tree) if isinstance(n, ast.Assert)]
    bare = [n for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.type is None]
    forbidden += [where(path, n.lineno) for n in bare]
    assert forbidden == []


def test_public_names_exist_and_are_sorted_out():
    import skelray

    assert all(hasattr(skelray, name) for name in skelray.__all__)
    assert sorted(skelray.__all__) == sorted({"papers", *skelray._HOMES})


ARRAYS = re.compile(r"\b(ndarray|memmap|Tensor|DataFrame|Series)\b")


def test_no_dataclass_compares_arrays_as_if_they_were_numbers():
    """Since Python 3.13 fields are compared by ``==`` one by one, and an array that is equal here and there has no truth."""
    wrong = []
    for path, tree in TREES.items():
        for made in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)):
            decorators = [ast.unparse(decorator) for decorator in made.decorator_list]
            compares = any(d.startswith("dataclass") and "eq=False" not in d for d in decorators)
            own = any(isinstance(n, ast.FunctionDef) and n.name == "__eq__" for n in made.body)
            held = [ast.unparse(n.annotation) for n in made.body if isinstance(n, ast.AnnAssign)]
            if compares and not own and any(ARRAYS.search(a) and not a.startswith("Callable") for a in held):
                wrong.append(f"{where(path, made.lineno)} {made.name}")
    assert wrong == []


WITHOUT = """
import sys
for name in {blocked}:
    sys.modules[name] = None  # importing it raises ImportError
import torch
import skelray
from tiny import TRIAL, splits
from dataclasses import replace
from skelray import HiCLR, KNN, Finetune, Linear, Monitor
trial = replace(TRIAL, epochs=1, method=HiCLR(queue=32, dim=8), monitor=Monitor(KNN()))
(report,) = skelray.run(trial, splits())
pretraining = skelray.Pretraining(trial, splits(), torch.device("cpu"))
pretraining.train_epoch()
frozen, data = pretraining.frozen_encoder(), splits()
for evaluation in (KNN(), Linear(epochs=2, milestones=(1,)), Finetune(epochs=1)):
    assert evaluation(frozen, data.train, data.test).shape == (len(data.test), 3)
import skelray.bench.bench, skelray.runner.execute, skelray.store.store, skelray.study.ablation, skelray.report.text
assert report.epoch == 1 and "held_out_top1" in report.metrics
print("trained", sorted(set({blocked}) & {{n for n, m in sys.modules.items() if m is not None}}))
"""


def test_training_and_evaluation_need_neither_ray_nor_optuna():
    blocked = ["ray", "optuna", "click", "rich", "sklearn", "matplotlib"]
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT.format(blocked=blocked)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent / "tests" / "helpers",
        check=False,
    )
    assert found.stdout.strip() == "trained []", found.stderr


def dotted(path):
    """skelray/data/dataset.py is data.dataset, skelray/data/__init__.py data, and skelray/__init__.py an empty text."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module):
    """The place of a module in the order: its own, or that of the package around it."""
    return next((place for place in sorted(ORDER, key=len, reverse=True) if f"{module}.".startswith(f"{place}.")), None)


def for_types(block):
    """What stands in an `if TYPE_CHECKING:`; it is never imported when the program runs."""
    return ast.walk(block) if ast.unparse(block.test) == "TYPE_CHECKING" else ()


def read(tree):
    """The files of the package that imports of a file reach, as dotted names, with their lines; lazy ones too."""
    files = {dotted(path) for path in FILES}
    typed = {id(node) for block in ast.walk(tree) if isinstance(block, ast.If) for node in for_types(block)}
    for node in ast.walk(tree):
        if id(node) in typed:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "skelray":
            module = node.module.removeprefix("skelray").lstrip(".")
            for alias in node.names:
                full = f"{module}.{alias.name}".lstrip(".")
                yield (full if full in files else module), node.lineno
        elif isinstance(node, ast.Import):
            yield from (
                (alias.name.removeprefix("skelray."), node.lineno) for alias in node.names if "skelray." in alias.name
            )


def test_no_files_import_each_other_in_a_circle():
    left = {dotted(path): {ours for ours, _ in read(tree)} for path, tree in TREES.items()}
    while free := {module for module, needed in left.items() if not needed & left.keys()}:
        left = {module: needed for module, needed in left.items() if module not in free}
    assert sorted(left) == []


def test_the_readme_names_every_package():
    tree = (PACKAGE.parent / "README.md").read_text().rpartition("```\nstudies/")[2]
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert set(re.findall(r"^  (\w+)/", tree, re.M)) == packages


def test_the_page_of_the_architecture_lists_all_layers_in_their_order():
    page = (PACKAGE.parent / "docs/architecture.md").read_text().partition("## Layers")[2].partition("\n## ")[0]
    listed = [name for cell in re.findall(r"^\| (`[^|]+) \|", page, re.M) for name in re.findall(r"`(\w+)`", cell)]
    assert listed == list(dict.fromkeys(place.partition(".")[0] for place in ORDER))


IMPORT_ALL = """
import importlib.util, sys
for path in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location(path.rpartition("/")[2].removesuffix(".py"), path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""


def test_every_benchmark_finds_what_it_imports():
    scripts = sorted(map(str, (PACKAGE.parent / "benchmarks").glob("*.py")))
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_who_chooses_by_it_asks_for_the_kind_of_a_study():
    kind = re.compile(r"isinstance\([^)]*\b(Ablation|Sweep|Fusion)\b")
    asking = {dotted(path) for path in FILES if kind.search(path.read_text())}
    assert asking == {"runner.kinds"}
