import pytest

from tests.integration.events.ledger import Ledger


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "log")
    yield ledger
    assert (ledger.lost, ledger.doubled, ledger.came_back) == (0, 0, 0)
