"""Fixtures shared by all tests: where golden numbers and reference data lie, if they are there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _finder(variable: str, default: str) -> Callable[[str], Path]:
    folder = ROOT / os.environ.get(variable, default)

    def find(name: str) -> Path:
        if not (folder / name).exists():
            pytest.skip(f"{variable} ({folder}) has no {name}")
        return folder / name

    return find


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    """The path of a golden file by name; skips the test where it is absent."""
    return _finder("SKELRAY_GOLDEN", "../shared/golden")


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a reference file by name; skips the test where it is absent."""
    return _finder("SKELRAY_SHARED", "../shared")
