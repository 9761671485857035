import pytest

from tests.cluster.lab import RequirementMissingError, requirements
from tests.conftest import LAB_REQUIRED


@pytest.fixture(scope="session")
def faults():
    """What injects faults is on this machine."""
    try:
        requirements.ensure(requirements.FAULT_COMMANDS, print)
    except RequirementMissingError as missing:
        if LAB_REQUIRED:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
