"""Wearers' devices: each publishes the samples of one window to the site's broker, 50 a second, as they are measured.

Run inside the site's network: `python -m tests.e2e.story.wearers --broker HOST:PORT --windows windows.npy`. What the
broker has taken of each wearer is printed as JSON: the ids of the events, in their order.
"""

import argparse
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.e2e.story.sensors import PERIOD_US, encode, events

_PATIENCE = 30.0


def wearer(index: int) -> str:
    """Name of the wearer of the window with this index."""
    return f"wearer-{index}"


def publish(client: Client, windows: NDArray[np.float32]) -> dict[str, list[str]]:
    """Publish windows [n, samples, 6], one a wearer, all at once; ids by wearer."""
    first_us = time.time_ns() // 1_000_000 * 1000
    begun = time.monotonic()
    told: dict[str, list[str]] = {}
    sent: list[MQTTMessageInfo] = []
    recordings = [list(events(window, wearer(index), first_us)) for index, window in enumerate(windows)]
    pace = threading.Event()
    for number, samples in enumerate(zip(*recordings, strict=True)):
        pace.wait(max(0.0, begun + number * PERIOD_US / 1e6 - time.monotonic()))
        for event in samples:
            subject = str(event["subject"])
            told.setdefault(subject, []).append(str(event["id"]))
            sent.append(client.publish(f"wrists/{subject}/motion", encode(event), qos=1))
    for message in sent:
        message.wait_for_publish(_PATIENCE)
    return told


def main() -> None:
    """Connect, publish, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--windows", type=Path, required=True)
    options = parser.parse_args()
    host, _, port = options.broker.rpartition(":")
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect(host, int(port))
    client.loop_start()
    told = publish(client, np.load(options.windows))
    client.disconnect()
    client.loop_stop()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
