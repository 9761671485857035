"""Follows the file of the site's devices, and stores with each event what it says of the event's device.

A ConfigMap that was deleted, or one that can't be understood, changes nothing: the node goes by what it read last, of
which it keeps a copy. To know no device any more, write `{"devices": {}}`.
"""

import math
from pathlib import Path

import structlog

from skerry_core.durable import write_file
from skerry_core.errors import UserMustActError
from skerry_core.sync_policy.document import StreamPolicy
from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.devices import (
    MAX_DOCUMENT_BYTES,
    NO_DEVICES,
    device_of,
    read_devices,
    with_device,
)
from skerry_edge.ingest.metrics import IngestMetrics

FILE = "devices.json"

_log = structlog.get_logger(__name__)


class DevicesKeeper:
    """`look` is called by one thread, `stored` by any."""

    def __init__(self, folder: Path, note: Path, metrics: IngestMetrics) -> None:
        """`folder` may hold FILE; `note` is the node's own copy. Looks at both."""
        self._path = folder / FILE
        self._note = note
        self._metrics = metrics
        self._complaint = ""
        self._devices, self._noted = NO_DEVICES, NO_DEVICES.data
        self._seen: bytes | None = None
        try:
            noted = _content(note)
            if noted is not None:
                self._devices, self._noted = read_devices(noted), noted
        except (UserMustActError, OSError) as error:
            _log.error("the node's copy of devices can't be read", reason="DevicesInvalid", message=str(error))
        self._tell()
        self.look()

    def stored(self, policy: StreamPolicy, event: Event) -> bytes:
        """The body that an event of this stream is stored with."""
        if policy.device_path is None:
            return event.body
        entry = self._devices.entries.get(device_of(policy.device_path, event) or "")
        if entry is None:
            self._metrics.unknown_devices.labels(policy.name).inc()
            return event.body
        return with_device(event.body, entry)

    def look(self) -> None:
        """Go by the file as it is now; what is wrong with it is logged once."""
        complaint = ""
        try:
            data = _content(self._path)
            if data is not None and data != self._seen:
                self._adopt(data)
            if self._devices.data != self._noted:
                write_file(self._note, self._devices.data)
                self._noted = self._devices.data
        except OSError as error:
            complaint = str(error)
        if complaint and complaint != self._complaint:
            _log.warning("devices can't be read or kept", error=complaint)
        self._complaint = complaint

    def _adopt(self, data: bytes) -> None:
        self._seen = data
        try:
            found = read_devices(data)
        except UserMustActError as error:
            self._metrics.devices_invalid.set(1)
            _log.error("devices can't be read", reason=error.reason, message=str(error))
            return
        self._metrics.devices_invalid.set(0)
        if found.data != self._devices.data:
            self._devices = found
            self._tell()

    def _tell(self) -> None:
        """Say which version is in force; a digest that was told before would stand beside it."""
        count = len(self._devices.entries)
        self._metrics.devices.clear()
        self._metrics.devices.labels(self._devices.digest).set(count)
        as_of = self._devices.as_of
        self._metrics.devices_as_of.set(math.nan if as_of is None else as_of / 1e6)
        _log.info("devices in force", digest=self._devices.digest, devices=count)


def _content(path: Path) -> bytes | None:
    """None if it isn't there; one byte more than is allowed is refused by its size. Raises OSError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except FileNotFoundError:
        return None
