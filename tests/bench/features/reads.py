"""Eight features of one entity: read beside Feast's SQLite online store, and beside a scan of the events by SQL.

All three have the same events, and their answers are compared before anything is measured. What a read costs here
depends on what has happened: a reading stays until a pane moves or an event of its entity comes (`kept`); then it is
made anew from the panes in memory (`anew`).

Feast is read as its users read it, by `get_online_features` over its SQLite online store (`feast_api`); that store's
own `online_read`, which gives neither statuses nor ages, stands beside it (`feast_store`).
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from skerry_edge.events.record import NewRecord
from skerry_edge.features.version import Version
from tests.bench.data.spread import spread
from tests.bench.features import feast_process, workload
from tests.bench.features.site import Site, settings

WATCHES = 50
ROUNDS = 20
READS = 300
EVENTS = 100_000
MINUTE = 60_000_000
PANES = 10
_EARLY = 40
_BATCH = 1_000


def measure(folder: Path, bodies: Sequence[bytes]) -> dict[str, Any]:
    """Microseconds of a read of each kind, and ratios of those of the same round."""
    folder.mkdir()
    digest, document = workload.document(workload.EIGHT)
    now = time.time_ns() // 1000
    period = (PANES - 1) * MINUTE / EVENTS
    told = list(workload.retold(bodies[:EVENTS], now - EVENTS * int(period), period, WATCHES))
    site = Site(folder, digest, document)
    log = site.logs.open(settings(workload.STREAM))
    site.features.start()
    seq = 0
    for at in range(0, len(told), _BATCH):
        seq = log.append([NewRecord(body, when, now) for body, when in told[at : at + _BATCH]])[-1]
    version = site.version(seq)
    scan = _Scan(folder / "events.db", told)
    names = [each["name"] for each in workload.EIGHT]
    try:
        with feast_process.running(folder / "feast", names) as feast:
            return _compare(site, version, scan, feast, names)
    finally:
        scan.close()
        site.close()


def _compare(
    site: Site, version: Version, scan: "_Scan", feast: feast_process.Feast, names: Sequence[str]
) -> dict[str, Any]:
    people = [workload.person(number) for number in range(WATCHES)]

    def kept(person: str) -> Any:
        reading = site.features.read(site.digest, [person])
        assert reading is not None
        return reading.whole

    def anew(person: str) -> Any:
        return version.engine.read(version.get(version.engine.key([person])), time.time_ns() // 1000)

    def values(reading: Any) -> list[float]:
        assert [value.name for value in reading.values] == list(names)
        return [value.value for value in reading.values]

    if (second := time.time() % 60) > _EARLY:
        # So that all look at the same window, whose end the sleep must not meet.
        time.sleep(61 - second)
    expected = {person: values(kept(person)) for person in people}
    assert expected == {person: values(anew(person)) for person in people}
    for person in people:
        # SQLite's sums are compensated, not exact: they may differ in the last bits.
        assert np.allclose(scan.read(person), expected[person], rtol=1e-12, atol=1e-12)
    feast.ask("write", expected)
    assert feast.ask("read", people) == list(expected.values())

    rng = np.random.default_rng(1)
    took: dict[str, list[float]] = {name: [] for name in ("kept", "anew", "sql", "feast_store", "feast_api")}
    for number in range(ROUNDS + 1):
        asked = [people[at] for at in rng.integers(0, len(people), READS).tolist()]
        ways: list[tuple[str, Callable[[str], Any]]] = [("kept", kept), ("anew", anew), ("sql", scan.read)]
        found = {} if number % 2 else feast.ask("time", asked)
        found |= {name: _seconds(way, asked) for name, way in (reversed(ways) if number % 2 else ways)}
        if number % 2:
            found |= feast.ask("time", asked)
        # The first round only warms up.
        if number:
            for name, each in took.items():
                each.append(found[name.removeprefix("feast_")] * 1e6)
    micros = {name: np.array(each) for name, each in took.items()}
    return {
        "micros": {name: spread(each) for name, each in micros.items()},
        "kept_vs_feast_store": spread(micros["kept"] / micros["feast_store"]),
        "kept_vs_feast_api": spread(micros["kept"] / micros["feast_api"]),
        "anew_vs_feast_store": spread(micros["anew"] / micros["feast_store"]),
        "anew_vs_feast_api": spread(micros["anew"] / micros["feast_api"]),
        "anew_vs_sql": spread(micros["anew"] / micros["sql"]),
        "rows_scanned": EVENTS // WATCHES,
    }


def _seconds(read: Callable[[str], Any], people: Sequence[str]) -> float:
    """CPU time of this thread: who else has the core doesn't matter, and nothing here waits for a disk."""
    began = time.thread_time()
    for person in people:
        read(person)
    return (time.thread_time() - began) / len(people)


class _Scan:
    """The events in SQLite, clustered by person and time: nothing else has to be read for a window."""

    _QUERY = """
        SELECT count(*), count(*) / :seconds, sum(ax), avg(ax), min(ax), max(ax),
            (SELECT ax FROM events WHERE person = :person AND time >= :first AND time < :end ORDER BY time LIMIT 1),
            (SELECT ax FROM events WHERE person = :person AND time >= :first AND time < :end ORDER BY time DESC LIMIT 1)
        FROM events WHERE person = :person AND time >= :first AND time < :end
    """

    def __init__(self, path: Path, told: Sequence[tuple[bytes, int]]) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute(
            "CREATE TABLE events (person TEXT, time INTEGER, ax REAL, PRIMARY KEY (person, time)) WITHOUT ROWID, STRICT"
        )
        rows = []
        for body, when in told:
            event = msgspec.json.decode(body)
            rows.append((event["subject"], when, event["data"]["ax"]))
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
        self._db.execute("COMMIT")
        self._db.execute("ANALYZE")

    def read(self, person: str) -> list[float]:
        end = time.time_ns() // 1000 // MINUTE + 1
        bounds = {"person": person, "first": (end - PANES) * MINUTE, "end": end * MINUTE, "seconds": PANES * 60.0}
        return list(self._db.execute(self._QUERY, bounds).fetchone())

    def close(self) -> None:
        self._db.close()
