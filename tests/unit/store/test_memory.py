import pytest

from skerry_core.store.errors import StoreUnavailableError
from skerry_core.store.memory import MemoryStore
from tests.unit.store.conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def store(self):
        return MemoryStore()


def test_a_fault_stops_just_the_operation_it_is_for():
    def fault(operation, key):
        if operation == "put":
            raise StoreUnavailableError(f"no {key} today")

    store = MemoryStore()
    store.put("key", b"old")
    store.fault = fault
    with pytest.raises(StoreUnavailableError, match="no key today"):
        store.put("key", b"new")
    assert b"".join(store.get("key")) == b"old"


def test_a_get_can_break_off_midway():
    def fault(operation, key):
        if operation == "chunk" and seen:
            raise StoreUnavailableError("cut")
        if operation == "chunk":
            seen.append(key)

    seen = []
    store = MemoryStore(fault=fault)
    store.put("key", bytes(1 << 17))
    chunks = store.get("key")
    assert len(next(chunks)) == 1 << 16
    with pytest.raises(StoreUnavailableError):
        next(chunks)
