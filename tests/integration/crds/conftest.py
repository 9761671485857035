import pytest


@pytest.fixture(scope="session")
def hub(spare):
    """An API server where no operator writes statuses of its own."""
    return spare
