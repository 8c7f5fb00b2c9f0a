"""Stores of searches that several files of tests read."""

import pytest
from test_search import drive, search

from skelray.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    searching = search(Store(tmp_path_factory.mktemp("whole")))
    drive(searching)
    return searching
