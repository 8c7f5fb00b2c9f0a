"""The versions of skelray and of what its results depend on, without importing any of it."""

from __future__ import annotations

import sys
from importlib import metadata

PACKAGES = ("torch", "ray", "optuna", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "matplotlib", "click")


def versions() -> str:
    """Names each with its version, or says that it is not installed."""
    found = [f"skelray {metadata.version('skelray')}", f"Python {sys.version.split()[0]}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} is not installed")
    return ", ".join(found)
