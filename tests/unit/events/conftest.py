import pytest

from tests.unit.events.parts import Machine, Sync


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path / "log")
    yield machine
    if machine.logs is not None:
        machine.logs.close()


@pytest.fixture
def sync(monkeypatch):
    sync = Sync(monkeypatch)
    yield sync
    sync.close()
