from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.inference.node import Node
from tests.sigstore_instance import PrivateSigstore
from tests.sigstore_instance.fixtures import sigstore  # noqa: F401 - a fixture


@pytest.fixture
def node(tmp_path: Path, sigstore: PrivateSigstore) -> Iterator[Node]:  # noqa: F811
    node = Node(tmp_path, sigstore)
    yield node
    node.close()
