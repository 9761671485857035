"""A window that is over, as a record of the stream `rollups`. Pure."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from skerry_core.micros import rfc3339
from skerry_core.rollups.series import GROUP
from skerry_core.rollups.state import encode
from skerry_core.rollups.summary import Summary, summary
from skerry_edge.events.record import NewRecord
from skerry_edge.sync.outbound.rollups.windows import Window

TYPE = "dev.skerry.rollup"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Told:
    """One window of a stream on a node."""

    site: str
    node: str
    stream: str
    window: Window

    @property
    def id(self) -> str:
        """The same for the same window however often it is made."""
        window = self.window
        numbers = (str(number) for number in (window.width, window.ingest, window.pane, window.length))
        parts = (
            "skerry-rollup",
            self.site,
            self.node,
            self.stream,
            *numbers,
            *window.group,
            window.path,
            window.kind.value,
            window.first,
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    def record(self, received: int) -> NewRecord:
        """As a CloudEvent, whose time is the window's end, or now if it isn't over; `received` in µs since 1970.

        `state` has it all and merges; what else is told of it is for who reads single records.
        """
        window, state = self.window, self.window.state
        start = window.pane * window.width
        data = {
            "stream": self.stream,
            **dict(zip(GROUP, window.group, strict=False)),
            "path": window.path,
            "kind": window.kind.value,
            **({"length": window.length} if window.length else {}),
            "start": rfc3339(start),
            "seconds": window.width / 1_000_000,
            **_statistics(summary(state)),
            "state": base64.b64encode(encode(state)).decode(),
        }
        body = {
            "specversion": "1.0",
            "id": self.id,
            "source": f"/sites/{self.site}/nodes/{self.node}",
            "type": TYPE,
            "subject": self.stream,
            "datacontenttype": "application/json",
            "data": data,
        }
        return NewRecord(_encode(body), min(start + window.width, received), received)


def _statistics(found: Summary) -> Mapping[str, float]:
    told = {
        "count": found.count,
        "sum": found.total,
        "mean": found.mean,
        "std": found.std,
        "min": found.least,
        "max": found.greatest,
        "p50": found.p50,
        "p95": found.p95,
        "p99": found.p99,
        "distinct": found.distinct,
    }
    return {name: value for name, value in told.items() if value is not None}
