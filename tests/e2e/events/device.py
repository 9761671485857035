"""A device of a site: sends readings without end, and writes down what the node has acknowledged.

Run inside the site's network: `python -m tests.e2e.events.device --url … --ledger … --rate 100`. It stops by itself at
SIGTERM or when its parent goes away. What isn't acknowledged it sends again, under the same ids, until it is. Its
readings have ids that begin with `--name`, `--noise` random bytes, and times so many `--seconds-off`.
"""

import argparse
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import urllib3

BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"
PERIOD = 0.2  # seconds between two requests
NOISE = 90  # bytes
_PAUSE = 0.2  # before one is sent again
_LAST_TRIES = 4  # of a request that is under way when told to stop: the node may have it, and so must the ledger
_PATIENCE = 5.0


@dataclass(frozen=True)
class Acknowledged:
    """One line of the ledger: a request's event ids, and when the node had them; `tries` were needed for that."""

    at: float
    ids: tuple[str, ...]
    tries: int


def event(
    identity: str, data: dict[str, Any], *, subject: str, kind: str = "example.reading", off: timedelta = timedelta()
) -> dict[str, Any]:
    """A CloudEvent of now, by a clock that is so much off."""
    return {
        "specversion": "1.0",
        "id": identity,
        "source": f"/devices/{subject}",
        "type": kind,
        "subject": subject,
        "time": (datetime.now(UTC) + off).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "data": data,
    }


def reading(number: int, name: str = "reading", *, noise: int = NOISE, off: timedelta = timedelta()) -> dict[str, Any]:
    """A reading like any other, of one of four presses; its noise is what no batch makes smaller."""
    data = {"celsius": 60.0 + number % 200 / 10, "noise": secrets.token_hex(noise)}
    return event(f"{name}-{number}", data, subject=f"press-{number % 4}", off=off)


def encode(events: list[dict[str, Any]], content_type: str) -> bytes:
    """Events as a batch or as lines."""
    if content_type == BATCH:
        return json.dumps(events).encode()
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


class Device:
    """Sends its readings in order, one request at a time, batches and lines in turn."""

    def __init__(self, url: str, ledger: Path, rate: float, made: Callable[[int], dict[str, Any]]) -> None:
        """`made` gives the event of a number."""
        self._url = url
        self._made = made
        self._ledger = ledger.open("a", buffering=1)
        self._size = max(1, round(rate * PERIOD))
        self._numbers = count(1)
        self._pool = urllib3.PoolManager(retries=False)

    def run(self, stop: threading.Event) -> None:
        """Send at a fixed pace until told to stop; what piled up meanwhile is caught up with."""
        parent, due, content_types = os.getppid(), time.monotonic(), (BATCH, LINES)
        for turn in count():
            if stop.wait(max(0.0, due - time.monotonic())) or os.getppid() != parent:
                return
            events = [self._made(next(self._numbers)) for _ in range(self._size)]
            self._send(events, content_types[turn % 2], stop)
            due += PERIOD

    def _send(self, events: list[dict[str, Any]], content_type: str, stop: threading.Event) -> None:
        body = encode(events, content_type)
        for tries in count(1):
            if self._is_taken(body, content_type, len(events)):
                line = Acknowledged(time.time(), tuple(each["id"] for each in events), tries)
                self._ledger.write(json.dumps(asdict(line)) + "\n")
                return
            if stop.wait(_PAUSE) and tries >= _LAST_TRIES:
                return

    def _is_taken(self, body: bytes, content_type: str, events: int) -> bool:
        headers = {"content-type": content_type}
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers, timeout=_PATIENCE)
            if answer.status != 200:
                return False
            told = answer.json()
        except (urllib3.exceptions.HTTPError, ValueError):
            return False
        return int(told["accepted"]) + int(told["duplicates"]) == events


def main() -> None:
    """Send until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--name", default="reading")
    parser.add_argument("--noise", type=int, default=NOISE)
    parser.add_argument("--seconds-off", type=float, default=0.0)
    options = parser.parse_args()
    stop = threading.Event()

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    off = timedelta(seconds=options.seconds_off)
    made = partial(reading, name=options.name, noise=options.noise, off=off)
    Device(options.url, options.ledger, options.rate, made).run(stop)


if __name__ == "__main__":
    main()
