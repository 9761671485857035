"""Two fixed sets of rows: CloudEvents from the wrist-IMU recordings that ship in the seglearn wheel, and predictions.

The samples are real (ten people, 50 a second, six channels at the sensor's resolution of six decimals). What a watch
and a node add is drawn from one seed: random UUIDs as every CloudEvents SDK makes them, a clock that jitters, a network
that delays. Nothing of it is tuned to the format.
"""

import json
import uuid
from collections.abc import Iterator

import numpy as np

from skerry_core.batch.contents import Batch, LogName, Row
from skerry_core.micros import rfc3339
from tests.e2e.story.dataset import EXERCISES, _recordings

SEED = 20261122
BATCH = 1000
EVENTS = 100_000
PREDICTIONS = 50_000
START = 1_795_000_000_000_000  # µs
PERIOD = 20_000  # µs between a watch's samples
PEOPLE = range(1, 11)
CHANNELS = ("ax", "ay", "az", "wx", "wy", "wz")


def events() -> list[Row]:
    """Samples of ten watches at once, as they come in over a wireless network."""
    rng = np.random.default_rng(SEED)
    data = _recordings()
    people = []
    for person in PEOPLE:
        mine = [at for at, one in enumerate(data["subject"]) if one == person]
        samples = np.round(np.concatenate([data["X"][at] for at in mine]), 6)
        marks = np.concatenate([np.full(len(data["X"][at]), at) for at in mine])
        count = EVENTS // len(PEOPLE)
        people.append((person, samples[:count], marks[:count]))
    phase = rng.integers(0, PERIOD, len(people))
    entries = []
    for (person, samples, marks), start in zip(people, phase, strict=True):
        at = START + start + PERIOD * np.arange(len(samples)) + rng.normal(0, 150, len(samples)).astype(np.int64)
        delay = (6_000 + rng.lognormal(8, 0.6, len(samples))).astype(np.int64)
        entries += [
            (int(when + late), int(when), person, sample, int(mark))
            for when, late, sample, mark in zip(at, delay, samples.tolist(), marks, strict=True)
        ]
    bodies = (
        (
            received,
            time,
            {
                "specversion": "1.0",
                "id": str(uuid.UUID(bytes=rng.bytes(16), version=4)),
                "source": f"//clinic-3.example/watches/{person:02d}",
                "type": "example.imu.sample.v1",
                "subject": f"person-{person:02d}",
                "time": rfc3339(time),
                "datacontenttype": "application/json",
                "data": {
                    **dict(zip(CHANNELS, sample, strict=True)),
                    "side": "left" if data["side"][mark] else "right",
                    "exercise": EXERCISES[int(data["y"][mark])],
                },
            },
        )
        for received, time, person, sample, mark in sorted(entries, key=lambda entry: entry[0])
    )
    return list(_rows(bodies))


def predictions() -> list[Row]:
    """Answers of a model with a canary on a tenth of the requests; latencies as a difference of clock readings."""
    rng = np.random.default_rng(SEED + 1)
    digests = [f"sha256:{rng.bytes(32).hex()}" for _ in range(2)]
    arrivals = START + np.cumsum(rng.exponential(5_000, PREDICTIONS)).astype(np.int64)

    def latency(at: int) -> float:
        clock = at / 1e6 - START / 1e6 + 86_400.0
        return (clock + 40e-6 * float(rng.lognormal(0, 0.4))) - clock

    def bodies() -> Iterator[tuple[int, int, dict]]:
        for at in arrivals.tolist():
            canary = rng.random() < 0.1
            challenger = canary and rng.random() < 0.5
            body = {
                "request": rng.bytes(16).hex(),
                "namespace": "wearables",
                "model": "exercise",
                "version": "1.3.0" if challenger else "1.2.0",
                "digest": digests[challenger],
                "variant": "challenger" if challenger else "champion",
                "latency": latency(at),
                "rows": 1,
            }
            if canary:
                body["pair"] = {
                    "champion": digests[0],
                    "challenger": digests[1],
                    "champion_latency": latency(at),
                    "challenger_latency": latency(at),
                    "rows": 1,
                    "disagreements": int(rng.random() < 0.03),
                }
            yield at, at, body

    return list(_rows(bodies()))


def batches(rows: list[Row], stream: str, size: int = BATCH) -> list[Batch]:
    """Rows cut into batches of `size`."""
    log = LogName("clinic-3", "node-1", stream, "4f1c9a0b7d2e6853")
    return [
        Batch(log, rows[at].seq - 1, rows[at + size - 1].seq, tuple(rows[at : at + size]))
        for at in range(0, len(rows) - size + 1, size)
    ]


def _rows(bodies: Iterator[tuple[int, int, dict]]) -> Iterator[Row]:
    hlc = 0
    for seq, (received, time, body) in enumerate(bodies, start=1):
        hlc = max(hlc + 1, received // 1000 << 16)
        yield Row(seq, hlc, time, received, 0, json.dumps(body, separators=(",", ":")).encode())
