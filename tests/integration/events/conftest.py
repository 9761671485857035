import pytest

from tests.cluster.lab import RequirementMissingError, requirements
from tests.conftest import LAB_REQUIRED
from tests.integration.events.ledger import Ledger


@pytest.fixture(scope="session")
def faults():
    """What injects faults is on this machine."""
    try:
        requirements.ensure(requirements.FAULT_COMMANDS, print)
    except RequirementMissingError as missing:
        if LAB_REQUIRED:
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "log")
    yield ledger
    assert (ledger.lost, ledger.doubled, ledger.came_back) == (0, 0, 0)
