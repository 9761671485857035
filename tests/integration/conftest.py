import pytest

from tests.cluster.lab import RequirementMissingError, requirements
from tests.conftest import LAB_REQUIRED, started

SPARE = "site-c"


@pytest.fixture(scope="session")
def lab(unstarted_lab):
    """The lab with the spare cluster, and without the sites."""
    return started(unstarted_lab, ["hub", SPARE])


@pytest.fixture(scope="session")
def spare(lab):
    """A cluster beside the story's, for tests that install and uninstall."""
    if SPARE not in lab.clusters:
        pytest.skip(f"needs a cluster named {SPARE} in CONTEXTS")
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
