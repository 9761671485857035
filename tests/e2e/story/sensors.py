"""The wrist recordings as what a wearer's device sends: one CloudEvent a sample, 50 a second."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.e2e.story.dataset import CHANNELS

PERIOD_US = 20_000  # between two samples, microseconds


def events(window: NDArray[np.float32], wearer: str, first_us: int) -> Iterator[dict[str, Any]]:
    """The events of one window [n, 6], its first sample at `first_us`, microseconds since 1970.

    Values are the samples' shortest decimals, so that what is computed from the events is computed from the samples.
    """
    for index, sample in enumerate(window):
        at = first_us + index * PERIOD_US
        yield {
            "specversion": "1.0",
            "id": f"{wearer}-{at}",
            "source": f"/wrists/{wearer}",
            "type": "example.motion",
            "subject": wearer,
            "time": datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="milliseconds"),
            "datacontenttype": "application/json",
            "data": {name: float(value) for name, value in zip(CHANNELS, sample, strict=True)},
        }


def encode(event: dict[str, Any]) -> bytes:
    """An event as structured JSON."""
    return json.dumps(event, separators=(",", ":")).encode()
