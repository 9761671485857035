import pytest

SPARE = "site-c"


@pytest.fixture(scope="session")
def spare(lab):
    """A cluster beside the story's, for tests that install and uninstall."""
    if not lab.hands and SPARE not in lab.clusters:
        pytest.skip(f"needs a cluster named {SPARE} in CONTEXTS")
    lab.up(["hub", SPARE])
    return lab.clusters[SPARE]
