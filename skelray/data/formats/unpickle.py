"""An unpickler that runs nothing: numpy arrays, numbers and plain containers are read, all else is refused.

Python's own unpickler calls whatever a file names. This one looks no name up: the few names that numpy writes stand for
functions of this module, arrays are views of the mapped file, and memory use does not follow the lengths that a file
claims. Pickles of Python 2 are read with their bytes as latin 1.
"""

from __future__ import annotations

import math
import mmap
import pickle
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from skelray.data.stored import DataError

_CODE = re.compile(r"[biufcSUV?]\d{0,4}|O8?")


class _Dtype:
    """A numpy type whose byte order is still to be read."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise pickle.UnpicklingError(f"the array type {code!r}" if isinstance(code, str) else "an array type")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("an array type with fields")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array whose shape and content are still to be read; ``key`` is its place in the memo."""

    key: int | None = None

    def build(self, state: tuple[Any, ...]) -> np.ndarray:
        _, shape, kind, fortran, raw = state
        return _array(raw, kind.dtype, shape, "F" if fortran else "C")


def _array(raw: Any, dtype: np.dtype[Any], shape: tuple[int, ...], order: Any) -> np.ndarray:
    """Returns the array of this content, without a copy. Raises UnpicklingError if content and shape differ in size."""
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise pickle.UnpicklingError("an array of a shape that is no sizes")  # which may be too large to be written
    count = math.prod(shape)
    if dtype.hasobject:
        if not isinstance(raw, list) or len(raw) != count:
            raise pickle.UnpicklingError(f"an array of shape {shape} without its objects")
        array = np.empty(count, object)
        for at, value in enumerate(raw):  # one by one: numpy would look into nested lists
            array[at] = value
        return array.reshape(shape, order=order)
    raw = raw.encode("latin1") if isinstance(raw, str) else raw  # of Python 2
    if len(raw) != count * dtype.itemsize:
        raise pickle.UnpicklingError(f"an array of shape {shape} in {len(raw)} bytes")
    return np.ndarray(shape, dtype, buffer=raw, order=order)


def _from_buffer(raw: Any, kind: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return _array(raw, kind.dtype, shape, "F" if order == "F" else "C")


def _scalar(kind: _Dtype, raw: Any) -> Any:
    return _array(raw, kind.dtype, (1,), "C")[0]


def _encode(text: str, _: str = "latin1") -> bytes:
    return text.encode("latin1")


def _bytes(raw: Any = b"", *_: str) -> bytes:
    return _encode(raw) if isinstance(raw, str) else bytes(memoryview(raw))


_NAMES: Mapping[tuple[str, str], Callable[..., Any]] = {
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", lambda *_: _Array()),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): lambda *_: None,  # named only to be handed to _reconstruct
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): lambda items=(): dict(items),
    **{(module, name): _bytes for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray")},
}
# Stand-ins for what numpy writes of a single number, in the form of torch.serialization.safe_globals.
NUMBERS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (stand_in, ".".join(name)) for name, stand_in in _NAMES.items() if name[1] in ("scalar", "dtype")
]

# Objects other than arrays, and sets: a deep set or tuple that is hashed ends the process.
_REFUSED = b"".join(
    (
        *(pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4),
        *(pickle.PERSID, pickle.BINPERSID, pickle.NEXT_BUFFER, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET),
    )
)
# What reading a pickle raises that is damaged, or of something else.
BROKEN = (
    *(pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(struct.error, MemoryError, AssertionError),
)


def _key(value: Any) -> Any:
    if isinstance(value, (tuple, memoryview)):
        raise pickle.UnpicklingError("a dictionary whose keys are no names or numbers")
    return value


class _File:
    """A mapped file, read from front to end."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self.mapped, self.content, self.at = mapped, memoryview(mapped), 0

    def view(self, size: int) -> memoryview:
        """Returns the next bytes without a copy. Raises EOFError if there are fewer."""
        if not 0 <= size <= len(self.content) - self.at:
            raise EOFError("it ends early")
        self.at += size
        return self.content[self.at - size : self.at]

    def read(self, size: int) -> bytes:
        return bytes(self.view(size))

    def readline(self) -> bytes:
        return self.read(self.mapped.find(b"\n", self.at) + 1 - self.at)  # of no end: a negative size


class _Memo(dict[int, Any]):
    """The memo, which tells an unfinished array its place."""

    def __setitem__(self, key: int, value: Any) -> None:
        if isinstance(value, _Array):
            value.key = key
        super().__setitem__(key, value)


class _Unpickler(pickle._Unpickler):  # the one in Python: the other one sets memory aside as the file says
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: _File) -> None:
        super().__init__(file, encoding="latin1")
        self.file, self.memo = file, _Memo()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"the name {module}.{name}")
        return _NAMES[module, name]

    def load_frame(self) -> None:
        self.file.view(8)  # a frame only says how much to read at once

    def load_bytes(self, width: int = 4) -> None:
        self.stack.append(self.file.view(int.from_bytes(self.file.view(width), "little")))

    def load_bytes8(self) -> None:
        self.load_bytes(8)

    def load_build(self) -> None:
        state, unfinished = self.stack.pop(), self.stack[-1]
        if isinstance(unfinished, _Dtype):
            unfinished.__setstate__(state)
        elif isinstance(unfinished, _Array):
            self.stack[-1] = unfinished.build(state)
            if unfinished.key is not None:
                self.memo[unfinished.key] = self.stack[-1]
        else:
            raise pickle.UnpicklingError("the state of an object")

    def load_setitem(self) -> None:
        key, value = self.stack[-2:]
        del self.stack[-2:]
        self.stack[-1][_key(key)] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][_key(key)] = value

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    def refuse(self) -> None:
        raise pickle.UnpicklingError("an object")

    dispatch.update(dict.fromkeys(_REFUSED, refuse))
    for _opcode, _load in (
        *((pickle.FRAME, load_frame), (pickle.BUILD, load_build), (pickle.DICT, load_dict)),
        *((pickle.SETITEM, load_setitem), (pickle.SETITEMS, load_setitems)),
        *((pickle.BINBYTES, load_bytes), (pickle.BINBYTES8, load_bytes8), (pickle.BYTEARRAY8, load_bytes8)),
    ):
        dispatch[_opcode[0]] = _load


def unpickle(path: Path) -> Any:
    """Returns the content of a pickle file; its arrays are views of the file, which therefore must not change.

    Raises DataError for anything but a pickle of arrays and plain containers.
    """
    try:
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # the latter of an empty file
        raise DataError(f"{path} cannot be read ({error})") from error
    try:
        return _Unpickler(_File(mapped)).load()
    except BROKEN as error:
        what = " ".join(str(error).split())[:100] or type(error).__name__
        raise DataError(f"{path} is not a pickle of arrays and plain containers ({what})") from error
