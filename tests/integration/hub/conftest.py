import pytest

from tests.integration.hub.operator_process import HubOperator
from tests.sigstore_instance.fixtures import sigstore  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def operator(spare, sigstore, tmp_path_factory):  # noqa: F811 - the fixture
    """The hub operator as a process of this machine, with a folder as its store and a cluster to itself."""
    with HubOperator(spare, sigstore, tmp_path_factory.mktemp("hub")) as running:
        yield running
