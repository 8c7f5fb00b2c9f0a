"""Ids cover all that a study file's code reads: what changes it, what does not, and what cannot be followed."""

import copy
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest

from skelray import papers
from skelray.identity.canonical import canonical
from skelray.runner.study_file import load_study, modules_beside

HEAD = """
import functools, enum, dataclasses, math, os, sys
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path
import numpy as np
import torch
from skelray import Ablation, Arm, AugmentationSet, BA, HiCLR, papers
with open(os.devnull) as FILE:
    pass
"""
SIMILARITY = """
study = Ablation(papers.HICLR, [Arm("a", {"similarity": part})])
"""
AUGMENTATION = """
study = Ablation(papers.HICLR, [Arm("a", {"arrangement": (AugmentationSet("own", (Part(),)),)})])
"""
FUNCTION = "def part(a, b):\n    return {body}\n"


def identity(folder, body, helper=None, end=SIMILARITY):
    """The id of the trial of a study file, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    if helper is not None:
        (folder / "beside.py").write_text(textwrap.dedent(helper))
    path = folder / "mine.py"
    path.write_text(HEAD + textwrap.dedent(body) + end)
    _, study, _ = load_study(path)
    return study.cells()[0].trial.id("d")


READ = {  # before, and in place of what: each changes what `part` does
    "a constant": ("K = 2\ndef part(a, b):\n    return K\n", "K = 2", "K = 3"),
    "a constant defined after the study": (
        "def part(a, b):\n    return K\n" + SIMILARITY + "K = 2\n", "\nK = 2", "\nK = 3",
    ),
    "a helper": ("def f(x):\n    return x\ndef part(a, b):\n    return f(a)\n", "return x", "return -x"),
    "a helper's constant": ("K = 2\ndef f(x):\n    return x * K\ndef part(a, b):\n    return f(a)\n", "K = 2", "K = 3"),
    "a helper in a comprehension": (
        "def f(x):\n    return x\ndef part(a, b):\n    return [f(x) for x in a]\n", "return x\n", "return -x\n",
    ),
    "a helper in a nested function": (
        "def f(x):\n    return x\ndef part(a, b):\n    def g():\n        return f(a)\n    return g()\n",
        "return x", "return -x",
    ),
    "a helper in a nested class": (
        "def f():\n    return 1\ndef part(a, b):\n    class C:\n        x = f()\n    return C.x\n", "return 1", "return 2",
    ),
    "mutual recursion": (
        "def f(n):\n    return n and g(n - 1)\ndef g(n):\n    return n and f(n - 2)\ndef part(a, b):\n    return f(3)\n",
        "n - 2", "n - 1",
    ),
    "what stands after a line separator in a text": (
        'S = "a\u2028b\u2028c\u2028d"\ndef part(a, b):\n    return 2\n', "return 2", "return 3",
    ),
    "what stands after form feeds": (
        "\f\nK = 1\n\f\n\f\ndef part(a, b):\n    return 2\n", "return 2", "return 3",
    ),
    "a default": ("K = 1\ndef part(a, b, k=K):\n    return k\n", "K = 1", "K = 2"),
    "a keyword's default": ("K = 1\ndef part(a, b, *, k=K):\n    return k\n", "K = 1", "K = 2"),
    "a helper's default": (
        "K = 1\ndef f(k=K):\n    return k\nK = 0\ndef part(a, b):\n    return f()\n", "K = 1", "K = 2",
    ),
    "a closure": (
        "def make(k):\n    def part(a, b):\n        return k\n    return part\npart = make(1)\n", "make(1)", "make(2)",
    ),
    "a closure over a list": (
        "def make(k):\n    def part(a, b):\n        return k\n    return part\npart = make([1, {2: 3}])\n", "3}", "4}",
    ),
    "a closure's helper": (
        "def make(f):\n    def part(a, b):\n        return f(a)\n    return part\ndef g(x):\n    return x\npart = make(g)\n",
        "return x", "return -x",
    ),
    "a decorator": (
        "def twice(f):\n    @functools.wraps(f)\n    def g(a, b):\n        return 2 * f(a, b)\n    return g\n"
        "@twice\ndef part(a, b):\n    return a\n", "2 * f", "3 * f",
    ),
    "what a decorator hides": (
        "def twice(f):\n    @functools.wraps(f)\n    def g(a, b):\n        return 2 * f(a, b)\n    return g\n"
        "K = 1\n@twice\ndef part(a, b):\n    return a * K\n", "K = 1", "K = 2",
    ),
    "a decorator's argument": (
        "def times(k):\n    def wrap(f):\n        def g(a, b):\n            return k * f(a, b)\n        return g\n"
        "    return wrap\n"
        "@times(2)\ndef part(a, b):\n    return a\n", "@times(2)", "@times(3)",
    ),
    "under a library's decorator": (
        "K = 1\n@torch.no_grad()\ndef part(a, b):\n    return K\n", "K = 1", "K = 2",
    ),
    "under a library's cache": (
        "@functools.lru_cache\ndef f():\n    return 1\ndef part(a, b):\n    return f()\n", "return 1", "return 2",
    ),
    "a partial helper": (
        "def f(k, x):\n    return k * x\ng = functools.partial(f, 2)\ndef part(a, b):\n    return g(a)\n", "f, 2", "f, 3",
    ),
    "what a partial helper calls": (
        "def f(k, x):\n    return k * x\ng = functools.partial(f, 2)\ndef part(a, b):\n    return g(a)\n", "k * x", "k + x",
    ),
    "a lambda in a global": ("f = lambda x: x\ndef part(a, b):\n    return f(a)\n", "lambda x: x", "lambda x: -x"),
    "a lambda over several lines": (
        "f = (lambda x:\n     x +\n     1)\ndef part(a, b):\n    return f(a)\n", "     1)", "     2)",
    ),
    "an attribute of a function": (
        "def f():\n    return f.k\nf.k = 1\ndef part(a, b):\n    return f()\n", "f.k = 1", "f.k = 2",
    ),
    "a method of an instance": (
        "class A:\n    def __init__(self, k):\n        self.k = k\n    def f(self):\n        return self.k\n"
        "g = A(1).f\ndef part(a, b):\n    return g()\n", "A(1)", "A(2)",
    ),
    "a class with __call__": (
        "class A:\n    def __call__(self, x):\n        return x\ng = A()\ndef part(a, b):\n    return g(a)\n",
        "return x", "return -x",
    ),
    "a static method": (
        "class A:\n    @staticmethod\n    def f(x):\n        return x\ndef part(a, b):\n    return A.f(a)\n",
        "return x", "return -x",
    ),
    "a class method": (
        "class A:\n    @classmethod\n    def f(cls, x):\n        return x\ndef part(a, b):\n    return A.f(a)\n",
        "return x", "return -x",
    ),
    "a property": (
        "class A:\n    @property\n    def f(self):\n        return 1\ndef part(a, b):\n    return A().f\n",
        "return 1", "return 2",
    ),
    "a metaclass": (
        "class M(type):\n    def f(cls):\n        return 1\nclass A(metaclass=M):\n    pass\n"
        "def part(a, b):\n    return A.f()\n",
        "return 1", "return 2",
    ),
    "a value of an enum": (
        "class E(enum.Enum):\n    A = 1\n    B = 5\ndef part(a, b):\n    return E.A.value\n", "A = 1", "A = 2",
    ),
    "a member of an enum": (
        "class E(enum.Enum):\n    A = 1\n    B = 5\nK = E.A\ndef part(a, b):\n    return K\n", "K = E.A", "K = E.B",
    ),
    "a named tuple": (
        "P = namedtuple('P', 'x y')\nK = P(1, 2)\ndef part(a, b):\n    return K.y\n", "P(1, 2)", "P(1, 3)",
    ),
    "the fields of a named tuple": (
        "P = namedtuple('P', 'x y')\nK = P(1, 2)\ndef part(a, b):\n    return K.y\n", "'x y'", "'y x'",
    ),
    "a frozen dataclass": (
        "@dataclass(frozen=True)\nclass C:\n    x: int = 1\nK = C()\ndef part(a, b):\n    return K.x\n", "= C()", "= C(5)",
    ),
    "a default of a dataclass": (
        "@dataclass(frozen=True)\nclass C:\n    x: int = 1\ndef part(a, b):\n    return C().x\n", "= 1", "= 2",
    ),
    "a default_factory": (
        "def make():\n    return [1]\n@dataclass\nclass C:\n    x: list = field(default_factory=make)\n"
        "def part(a, b):\n    return C().x\n", "[1]", "[2]",
    ),
    "an array": ("K = np.arange(3)\ndef part(a, b):\n    return K\n", "arange(3)", "arange(3)[::-1]"),
    "an array's type": ("K = np.zeros(4, 'f4')\ndef part(a, b):\n    return K\n", "'f4'", "'i4'"),
    "an array's shape": ("K = np.zeros(4)\ndef part(a, b):\n    return K\n", "zeros(4)", "zeros((2, 2))"),
    "an array of objects": (
        "K = np.array([1, None], object)\ndef part(a, b):\n    return K\n", "[1, None]", "[2, None]",
    ),
    "a masked array": (
        "K = np.ma.array([1, 2], mask=[0, 1])\ndef part(a, b):\n    return K\n", "[0, 1]", "[1, 0]",
    ),
    "a tensor": ("K = torch.ones(2)\ndef part(a, b):\n    return K\n", "ones", "zeros"),
    "a bfloat16 tensor": ("K = torch.ones(2).bfloat16()\ndef part(a, b):\n    return K\n", "ones", "zeros"),
    "a module's weights": (
        "K = torch.nn.Linear(1, 1)\ntorch.nn.init.constant_(K.weight, 1)\ntorch.nn.init.zeros_(K.bias)\n"
        "def part(a, b):\n    return K(a)\n", "weight, 1", "weight, 2",
    ),
    "a dictionary": ("K = {'a': [1]}\ndef part(a, b):\n    return K\n", "[1]", "[2]"),
    "a set": ("K = {'a', 'b', 3}\ndef part(a, b):\n    return K\n", "3", "4"),
    "a frozen set in a tuple": ("K = (frozenset({1}),)\ndef part(a, b):\n    return K\n", "{1}", "{2}"),
    "a set of functions": (
        "def f():\n    return 1\ndef g():\n    return 5\nK = {f, g}\ndef part(a, b):\n    return K\n",
        "return 5", "return 6",
    ),
    "a path": ("K = Path('a')\ndef part(a, b):\n    return K\n", "'a'", "'b'"),
    "bytes": ("K = b'a'\ndef part(a, b):\n    return K\n", "b'a'", "b'b'"),
    "a whole number or not": ("K = 1\ndef part(a, b):\n    return K\n", "K = 1", "K = True"),
    "a table of functions": (
        "def f(x):\n    return x\nT = {'f': f}\ndef part(a, b):\n    return T['f'](a)\n", "return x", "return -x",
    ),
    "a list that holds itself": ("K = [1]\nK.append(K)\ndef part(a, b):\n    return K\n", "[1]", "[2]"),
    "a setting of skelray": ("B = papers.HICLR\ndef part(a, b):\n    return B\n", "= papers.HICLR\n", "= papers.AIMCLR\n"),
    "another function of skelray": (
        "from skelray.methods import kl, l1\nF = kl\ndef part(a, b):\n    return F(a, b)\n", "F = kl", "F = l1",
    ),
    "another of a library": ("F = math.sin\ndef part(a, b):\n    return F(a)\n", "math.sin", "math.cos"),
    "a dtype": ("K = torch.float32\ndef part(a, b):\n    return K\n", "float32", "float64"),
    "a global that is assigned elsewhere": (
        "K = 1\ndef change():\n    global K\n    K = 2\ndef part(a, b):\n    return K\n", "part(a", "part(a",
    ),
}  # fmt: skip
READ["a global that is assigned elsewhere"] = (
    "K = 1\ndef change():\n    global K\n    K = 7\nchange()\ndef part(a, b):\n    return K\n", "K = 7", "K = 8",
)  # fmt: skip


@pytest.mark.parametrize(("body", "old", "new"), READ.values(), ids=READ)
def test_what_is_read_changes_the_id(tmp_path, body, old, new):
    assert body.count(old) == 1
    end = "" if "study = " in body else SIMILARITY
    before = identity(tmp_path / "a", body, end=end)
    assert identity(tmp_path / "a", body.replace(old, new), end=end) != before
    assert identity(tmp_path / "b", body, end=end) == before  # and nothing else does: another folder, loaded again


CLASS = """
    K = 1
    def helper(x):
        return x
    class Base:
        shift = 3
        def moved(self, x):
            return x + self.shift
    @dataclass(frozen=True)
    class Part(Base):
        by: float = 0.1
        def __call__(self, view):
            return view.with_x(helper(self.moved(view.x)) * self.by * K)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [("K = 1", "K = 2"), ("return x\n", "return -x\n"), ("shift = 3", "shift = 4"), ("x + self", "x - self"),
     ("by: float = 0.1", "by: float = 0.2"), ("* K", "/ K"), ("(Base)", "")],
)  # fmt: skip
def test_a_class_brings_its_bases_and_what_its_methods_read(tmp_path, old, new):
    assert CLASS.count(old) == 1
    before = identity(tmp_path, CLASS, end=AUGMENTATION)
    assert identity(tmp_path, CLASS, end=AUGMENTATION) == before
    assert identity(tmp_path, CLASS.replace(old, new), end=AUGMENTATION) != before


BESIDE = {  # the study's text; each reads `K` or `f` of a module beside it
    "from beside import K\ndef part(a, b):\n    return K\n": True,
    "from beside import f\ndef part(a, b):\n    return f()\n": True,
    "import beside\ndef part(a, b):\n    return beside.f()\n": True,
    "import beside\ndef part(a, b):\n    return getattr(beside, 'f')()\n": True,
    "import beside\ndef part(a, b):\n    m = beside\n    return m.f()\n": True,
    "def part(a, b):\n    import beside\n    return beside.f()\n": True,
    "def part(a, b):\n    from beside import f\n    return f()\n": True,
    "from beside import C\nclass D(C):\n    pass\ndef part(a, b):\n    return D().m()\n": True,
    "import beside\ndef part(a, b):\n    return beside.other\n": False,  # which reads nothing of them
}
HELPER = """
    K = {k}
    other = 5
    def f():
        return K
    class C:
        def m(self):
            return f()
"""


@pytest.mark.parametrize(("body", "differs"), BESIDE.items())
def test_files_that_lie_beside_are_followed(tmp_path, body, differs):
    first, again, other = (identity(tmp_path, body, HELPER.format(k=k)) for k in (1, 1, 2))
    assert first == again
    assert (first != other) is differs
    assert [module.__name__ for module in modules_beside()] == ["beside"]


SAME = {  # nothing that is read
    "another function": ("def other():\n    return 1\ndef part(a, b):\n    return a\n", "return 1", "return 2"),
    "another constant": ("K = 1\ndef part(a, b):\n    return a\n", "K = 1", "K = 2"),
    "a file that another function opens": (
        "LOG = 0\ndef other():\n    return LOG\ndef part(a, b):\n    return a\n", "LOG = 0", "LOG = FILE",
    ),
    "order": (
        "def f(x):\n    return x\ndef g(x):\n    return f(x)\ndef part(a, b):\n    return g(a)\n",
        "def f(x):\n    return x\ndef g(x):\n    return f(x)\n", "def g(x):\n    return f(x)\ndef f(x):\n    return x\n",
    ),
    "a remark between": ("def part(a, b):\n    return a\n", "def part", "# a remark\ndef part"),
    "a set's order": ("K = {'a', 'b'}\ndef part(a, b):\n    return K\n", "{'a', 'b'}", "{'b', 'a'}"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "old", "new"), SAME.values(), ids=SAME)
def test_what_is_not_read_leaves_the_id_alone(tmp_path, body, old, new):
    assert identity(tmp_path, body) == identity(tmp_path, body.replace(old, new))


REFUSED = {
    "an open file": ("K = FILE\ndef part(a, b):\n    return K\n", "part .* reads K, which is a _io.TextIO"),
    "a generator": ("K = (x for x in [1])\ndef part(a, b):\n    return K\n", "reads K, which is a builtins.generator"),
    "a random generator": ("K = np.random.default_rng()\ndef part(a, b):\n    return K\n", "K, which is a Generator, wh"),
    "deep inside": (
        "K = {'log': [FILE]}\ndef f():\n    return K\ndef part(a, b):\n    return f()\n",
        "part .* it reads f, K, log, which is a _io",
    ),
    "globals()": ("def part(a, b):\n    return globals()['x']\n", r"reads globals, which is a way"),
    "eval": ("def part(a, b):\n    return eval('K')\n", r"reads eval, which is a way"),
    "sys.modules": ("def part(a, b):\n    return sys.modules['os']\n", "reads sys.modules"),
    "another name of eval": ("E = eval\ndef part(a, b):\n    return E('K')\n", "reads E, which is a way to read anything"),
    "a module by name": ("import importlib as i\ndef part(a, b):\n    return i.import_module('x')\n", "i.import_module, wh"),
    "a lock": ("import threading\nK = threading.Lock()\ndef part(a, b):\n    return K\n", "K, which is a _thread.lock"),
    "what exec made": (
        "exec('def f(): return 1')\ndef part(a, b):\n    return f()\n",
        "f, which is a function who",
    ),
    "a lambda as a part": ("part = lambda a, b: a\n", "write it as a function with def"),
}


@pytest.mark.parametrize(("body", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_followed_is_refused_by_name(tmp_path, body, said):
    with pytest.raises(ValueError, match=said):
        identity(tmp_path, body)


@pytest.mark.parametrize(
    "body",
    [
        "import logging\nlog = logging.getLogger(__name__)\ndef part(a, b):\n    log.info('x')\n    return a\n",
        "from sys import stderr\ndef part(a, b):\n    print('x', file=stderr)\n    return a\n",
        "from os import environ\ndef part(a, b):\n    return environ.get('x')\n",
        "def part(a, b):\n    print(os.environ, file=sys.stderr)\n    return np.sin(a) + torch.nn.functional.relu(a)\n",
        "def part(a, b):\n    import matplotlib.pyplot as plt\n    return plt\n",
        "import re\nK = re.compile('a')\ndef part(a, b):\n    return K\n",
        "def part(a, b):\n    return nothing_of_this_name\n",
    ],
)
def test_what_libraries_have_is_known_by_name(tmp_path, body):
    assert identity(tmp_path / "a", body) == identity(tmp_path / "b", body)


def test_a_comment_changes_no_id_and_what_looks_like_one_does(tmp_path):
    """A function without comments keeps the id that it had when these still counted."""
    body = 'def part(a, b):\n    said = """{}\n    b"""\n    return (len(said),\n            a.z.mean())\n'
    plain = identity(tmp_path / "a", body.format("a"))
    assert plain == "682a16647fe427ca"
    written = body.format("a").replace("(a, b):", "(a, b):  # of both\n    # more").replace("),\n", "),  # its length\n")
    assert "# its length" in written
    assert identity(tmp_path / "b", written) == plain
    assert identity(tmp_path / "c", body.format("a  # no comment")) != plain


def test_a_study_is_what_its_file_says_now_even_within_a_second(tmp_path):
    """Python's compiled copies are told apart by whole seconds and sizes."""
    ids = {
        identity(tmp_path, f"from beside import K\ndef part(a, b):\n    return K + {k}\n", f"K = {k}\n") for k in range(5)
    }
    assert len(ids) == 5
    assert not list(tmp_path.rglob("*.pyc"))


def test_an_id_is_that_of_the_file_that_was_loaded(tmp_path):
    body = "def make(k):\n    def part(a, b):\n        return k\n    return part\npart = make(1)\n"
    (tmp_path / "mine.py").write_text(HEAD + body + SIMILARITY)
    _, study, _ = load_study(tmp_path / "mine.py")
    (tmp_path / "mine.py").write_text("# edited while the study runs\n" * 3 + HEAD + body.replace("return k", "return -k"))
    assert study.cells()[0].trial.id("d") == identity(tmp_path / "b", body)


WORKER = """
import sys, pickle
trial = pickle.load(open(sys.argv[1], "rb"))
print(trial.id("d"))
"""


def test_a_worker_that_has_no_source_has_the_same_id(tmp_path):
    """It gets the study's classes and functions by value, with their digests."""
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    body = CLASS + "\n    from beside import f\n    def part(a, b):\n        return f() * K\n"
    end = """
study = Ablation(papers.HICLR, [Arm("a", {"similarity": part, "arrangement": (AugmentationSet("own", (Part(),)), BA)})])
"""
    expected = identity(tmp_path / "a", body, HELPER.format(k=1), end)
    _, study, module = load_study(tmp_path / "a" / "mine.py")
    for one in (module, *modules_beside()):
        cloudpickle.register_pickle_by_value(one)
    (tmp_path / "trial").write_bytes(cloudpickle.dumps(study.cells()[0].trial))
    for file in (tmp_path / "a").glob("*.py"):
        file.unlink()
    command = [sys.executable, "-c", WORKER, str(tmp_path / "trial")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == expected, found.stderr


PINNED = {  # before what a study file reads was followed: what lies in skelray keeps its name
    "SKELETONCLR": "10d67745352312dc",
    "CROSSCLR": "b0338ebc39f83861",
    "AIMCLR": "a9b4e1ea5813cdd2",
    "HICLR": "decb06a31097e1dc",
    "HICLR_DSTA": "2eb9e1102ac594aa",
    "HICO_TRANSFORMER": "b30123a7722e1072",
    "HICO_GRU": "d95eefe9ede67e92",
}


def test_trials_of_what_skelray_has_keep_their_ids():
    assert {name: getattr(papers, name).id("d") for name in PINNED} == PINNED
    released = {name: papers.RELEASED[name].id("d") for name in ("hiclr", "hico", "aimclr")}
    assert released == {"hiclr": "d850c7ed27fb5581", "hico": "3e556486dc506cc1", "aimclr": "5bec57d7a1d287ae"}


@dataclass(frozen=True)
class Own:
    size: int = 1


def test_copying_what_a_class_made_leaves_its_digest_alone():
    """Python notes slots on the class when an instance is copied or pickled for the first time."""

    before = canonical(Own())
    copy.deepcopy(Own())
    assert "__slotnames__" in vars(Own)
    assert canonical(Own()) == before
