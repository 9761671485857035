"""A store in memory, whose faults a test can inject."""

from collections.abc import Callable, Iterator
from threading import Lock

from skerry_core.store.errors import ObjectMissingError
from skerry_core.store.port import ByteStream, ObjectInfo, SizedStream, check_key

_CHUNK = 1 << 16


def no_fault(operation: str, key: str) -> None:
    """Let every operation pass."""


class MemoryStore:
    """Keeps objects in `objects`, which a test may read and damage.

    `fault` is called with (`put`, `get`, `stat`, `list`, `delete`) and the key before each operation, and with `chunk`
    before each chunk of a get; what it raises, the operation raises.
    """

    def __init__(self, uri: str = "s3://memory", fault: Callable[[str, str], None] = no_fault) -> None:
        self.objects: dict[str, bytes] = {}
        self.fault = fault
        self._uri = uri
        self._lock = Lock()

    @property
    def uri(self) -> str:
        return self._uri

    def put(self, key: str, data: bytes | ByteStream, size: int | None = None) -> None:
        self.fault("put", check_key(key))
        whole = SizedStream(key, data, size).read()
        with self._lock:
            self.objects[key] = whole

    def get(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self.fault("get", check_key(key))
        with self._lock:
            whole = self.objects.get(key)
        if whole is None:
            raise ObjectMissingError(key)
        part = whole[start:end]
        for offset in range(0, len(part), _CHUNK):
            self.fault("chunk", key)
            yield part[offset : offset + _CHUNK]

    def stat(self, key: str) -> ObjectInfo | None:
        self.fault("stat", check_key(key))
        with self._lock:
            whole = self.objects.get(key)
        return None if whole is None else ObjectInfo(key, len(whole))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.fault("list", prefix)
        with self._lock:
            found = [ObjectInfo(key, len(whole)) for key, whole in self.objects.items() if key.startswith(prefix)]
        yield from sorted(found, key=lambda info: info.key.encode())

    def delete(self, key: str) -> None:
        self.fault("delete", check_key(key))
        with self._lock:
            self.objects.pop(key, None)
