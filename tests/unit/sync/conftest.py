import pytest

from tests.unit.sync.uploading import Node


@pytest.fixture
def node(tmp_path):
    """A node that uploads."""
    node = Node(tmp_path)
    yield node
    node.close()
