import pytest

from tests.integration.hub.operator_process import HubOperator
from tests.sigstore_instance.fixtures import sigstore  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def operator(spare, sigstore, tmp_path_factory):  # noqa: F811 - the fixture
    """The hub operator as a process of this machine, with a folder as its store and a cluster to itself.

    It takes the access of every site that it doesn't know away, so it must be gone before other tests make sites.
    """
    with HubOperator(spare, sigstore, tmp_path_factory.mktemp("hub")) as running:
        yield running
