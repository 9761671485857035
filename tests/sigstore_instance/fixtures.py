"""Pytest fixtures over the instance; a conftest imports what it needs."""

from collections.abc import Iterator

import pytest

from tests.sigstore_instance.instance import PrivateSigstore


@pytest.fixture(scope="session")
def sigstore() -> Iterator[PrivateSigstore]:
    """One private Sigstore test instance for the whole session."""
    with PrivateSigstore.start() as instance:
        yield instance
