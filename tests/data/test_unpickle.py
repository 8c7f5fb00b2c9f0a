"""Pickles: arrays and plain containers as Python reads them, and nothing of anything else."""

import collections
import pickle
import pickletools
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skelray.data import DataError
from skelray.data.formats.unpickle import unpickle

FOLDER = [HealthCheck.function_scoped_fixture]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300)
TREES = st.recursive(PLAIN, lambda t: st.lists(t, max_size=4) | st.dictionaries(st.text(), t, max_size=3) | st.tuples(t, t))


def read(folder, content):
    path = folder / "a.pkl"
    path.write_bytes(content)
    return unpickle(path)


@settings(max_examples=60, deadline=None, suppress_health_check=FOLDER)
@given(tree=TREES, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_containers_come_back(tmp_path, tree, protocol):
    assert read(tmp_path, pickle.dumps(tree, protocol)) == tree


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_back(tmp_path, protocol):
    whole = np.random.default_rng(0).normal(size=(2, 50, 25, 3))
    arrays = [
        *(whole.astype(kind) for kind in ("f2", "f4", "f8", ">f4", "i8", "u1", "?")),
        *(np.asfortranarray(whole), whole[:, ::2], np.zeros((0, 3)), np.array(5.0)),
        *(np.array(["ab", "c"]), np.array([b"ab", b"c"]), np.array(["a", None, 3], dtype=object)),
        *(np.float32(2.5), np.int64(7), np.bool_(True)),
    ]
    found = read(tmp_path, pickle.dumps({"arrays": arrays, "again": arrays[0]}, protocol))
    assert found["again"] is found["arrays"][0]
    for one, other in zip(arrays, found["arrays"], strict=True):
        assert np.asarray(other).dtype == np.asarray(one).dtype
        np.testing.assert_array_equal(other, one)


def test_large_arrays_are_views_of_the_file(tmp_path):
    found = read(tmp_path, pickle.dumps([np.arange(1000), np.arange(10)], 4))
    assert not found[0].flags.owndata
    assert not found[0].flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 1


def test_a_pickle_of_python_2(tmp_path):
    """As Python 2 wrote ``(['S001.skeleton'], [3], numpy.array([1.5], '<f4'))``, protocol 2."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04" + np.float32(1.5).tobytes() + b"tb"
    )
    text = b"\x80\x02]U\rS001.skeletona]K\x03a" + array + b"\x87."
    names, labels, values = read(tmp_path, text)
    assert (names, labels, values.tolist(), values.dtype) == (["S001.skeleton"], [3], [1.5], np.float32)
    assert pickle.loads(text, encoding="latin1")[2] == values  # Python agrees that this is such a pickle


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def deep(count):
    return b"\x80\x02}(" + b")" + b"\x85" * count + b"K\x01u."


HOSTILE = {
    "a command": b"cos\nsystem\n(S'touch pwned'\ntR.",
    "eval": pickle.dumps(Evil(eval, ("open('pwned', 'w')",))),
    "a file": pickle.dumps(Path("a")),
    "an instance": b"(ios\nsystem\nS'touch pwned'\n.",
    "a new object": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "numpy's loader": b"cnumpy\nload\n(S'a'\ntR.",
    "a name inside a name": b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.tofile\x93.",
    "the state of a function": b"\x80\x02c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb.",
    "the state of a class": b"\x80\x02cnumpy\ndtype\n}X\x05\x00\x00\x00buildK\x01sb.",
    "a persistent name": b"Pabc\n.",
    "an extension": b"\x80\x02\x82\x01.",
    "a set": pickle.dumps({1}, 4),
    "a default": pickle.dumps(collections.defaultdict(list)),
    "a type with fields": pickle.dumps(np.zeros(2, [("a", "f4")])),
    "bytes without end": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
    "text without end": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
    "a frame without end": b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f.",
    "a far place in the memo": b"\x80\x04r\xff\xff\xff\x7f.",
    "many zeros": b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
    "a large array": pickle.dumps(np.zeros(3)).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"),
    "a deep key": deep(10**6),
    "an empty file": b"",
    "no pickle": b"SQLite format 3\x00",
    "a cut pickle": pickle.dumps([np.arange(1000)])[:-200],
    "a number of many digits": b"I" + b"9" * 10**5 + b"\n.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_or_broken_file_is_one_sentence_and_does_nothing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    started = time.process_time()
    if content == HOSTILE["a far place in the memo"]:
        content = b"\x80\x04K\x01r\xff\xff\xff\x7f"
    with pytest.raises(DataError) as error:
        read(tmp_path, content)
    assert time.process_time() - started < 5
    assert str(tmp_path / "a.pkl") in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["a.pkl"]


OPCODES = [opcode.code.encode("latin1") for opcode in pickletools.opcodes]
NAMED = [b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\nscalar\n", b"c_codecs\nencode\n", b"c__builtin__\nbytearray\n"]


@settings(max_examples=300, deadline=None, suppress_health_check=FOLDER)
@given(
    parts=st.lists(st.sampled_from([*OPCODES, *NAMED, b"K\x01", b"U\x01b", b"X\x02\x00\x00\x00f4"]) | st.binary(max_size=4))
)
def test_any_bytes_are_read_or_refused(tmp_path, parts):
    with suppress(DataError):
        read(tmp_path, b"\x80\x04" + b"".join(parts) + b".")


@settings(max_examples=150, deadline=None, suppress_health_check=FOLDER)
@given(protocol=st.integers(0, 5), at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_pickle_is_read_or_refused(tmp_path, protocol, at, byte, cut):
    content = bytearray(pickle.dumps({"split": {"a": ["x"]}, "l": [np.arange(4.0), np.int64(3), ("n", [1, 2])]}, protocol))
    at %= len(content)
    content[at] = byte
    with suppress(DataError):
        read(tmp_path, bytes(content[:at] if cut else content))
