import pytest

from skerry_operator.kube.memory import MemoryKube
from tests.unit.kube.conformance import KubeConformance


class TestMemoryKube(KubeConformance):
    @pytest.fixture
    def kube(self):
        return MemoryKube()
