import pytest

from tests.cluster.lab import RequirementMissingError, requirements
from tests.conftest import LAB_REQUIRED

SPARE = "site-c"


@pytest.fixture(scope="session")
def spare(lab):
    """A cluster beside the story's, for tests that install and uninstall."""
    if not lab.hands and SPARE not in lab.clusters:
        pytest.skip(f"needs a cluster named {SPARE} in CONTEXTS")
    lab.up(["hub", SPARE])
    return lab.clusters[SPARE]


@pytest.fixture(scope="session")
def faults():
    """What injects faults is on this machine."""
    try:
        requirements.ensure(requirements.FAULT_COMMANDS, print)
    except RequirementMissingError as missing:
        if LAB_REQUIRED:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
