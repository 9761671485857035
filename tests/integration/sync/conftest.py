import pytest

from tests.integration.sync.kube import Kube
from tests.integration.sync.node import Inference, Node
from tests.integration.sync.store import LoopbackStore


@pytest.fixture
def kube(tmp_path):
    with Kube(tmp_path) as kube:
        yield kube


@pytest.fixture
def store():
    with LoopbackStore() as store:
        yield store


@pytest.fixture
def inference():
    inference = Inference()
    yield inference
    inference.shutdown()
    inference.server_close()


@pytest.fixture
def node(tmp_path, kube, inference):
    """A node that has not been started."""
    node = Node(tmp_path, kube.url, kube.credentials, inference)
    yield node
    node.stop()
