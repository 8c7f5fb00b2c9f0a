"""The versions of skelray and of the libraries that decide its results, read without importing them."""

from __future__ import annotations

import sys
from importlib import metadata

PACKAGES = ("torch", "ray", "optuna", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "matplotlib", "click")


def versions() -> str:
    """Returns each library's name and version, or that it is not installed."""
    found = [f"skelray {metadata.version('skelray')}", f"Python {sys.version.split()[0]}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} is not installed")
    return ", ".join(found)
