"""What may go wrong between a site's uploads and the hub's tables, done on purpose."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skerry_core.batch.key import batch_key, parse_key, upload_mark
from skerry_core.store.grant import MAX_UPLOAD_BYTES
from skerry_core.store.port import read_object
from tests.cluster.lab.waiting import wait_for
from tests.e2e.events.hub import EventsHub
from tests.e2e.events.site import processes
from tests.e2e.faults.world import SITE
from tests.e2e.story.platform import BUCKET

_SITE_FOLDER = f"sites/{SITE}/"
_TRIES = 4  # to hit the moment between two writes
_COMES_WITHIN = 240.0  # over a thin link; an ingest that was killed thrice waits for a minute and more

Span = tuple[int, int]


@dataclass(frozen=True)
class Shuffled:
    """Numbers (first, last) of batches: the hub had the `late` ones after the `early` one, before which they came."""

    late: tuple[Span, ...]
    early: Span


@contextmanager
def no_store(hub: EventsHub) -> Iterator[None]:
    """Kill the store, for a while."""
    store = hub.world.lab.store
    store.stop()
    try:
        yield
    finally:
        store.start()


def shuffle_and_double(hub: EventsHub, stream: str) -> Shuffled:
    """Keep a few uploads from the hub until it has taken a later one; then bring them, and all others again.

    Whatever is brought has a key of its own, as if the site had sent it once more.
    """
    store = hub.world.story.platform.store()
    try:
        hub.scale_ingest(0)
        # The newest go first after an outage, and what broke off goes again: numbers don't tell the order of uploads.
        had = _numbers(hub, hub.keys(stream))
        first = _uploads(hub, stream, had)
        last, *_ = _uploads(hub, stream, had | _numbers(hub, first))
        held = {key: read_object(store, key, MAX_UPLOAD_BYTES) for key in first}
        for key in held:
            store.delete(key)
    finally:
        hub.scale_ingest(1)
    late, early = tuple(hub.span(key) for key in held), hub.span(last)
    came = f"SELECT 1 FROM {stream} WHERE seq BETWEEN {early[0]} AND {early[1]} LIMIT 1"
    hub.wait("a later batch", came, _COMES_WITHIN)
    for key, data in reversed(held.items()):
        store.put(_another(key), data)
        store.put(key, data)
    for key in hub.keys(stream):
        store.put(_another(key), read_object(store, key, MAX_UPLOAD_BYTES))
    return Shuffled(late, early)


def _uploads(hub: EventsHub, stream: str, had: set[int]) -> list[str]:
    """Keys of batches of which the store `had` no number, once there are any."""
    fresh: list[str] = []

    def found() -> bool:
        fresh[:] = [key for key in hub.keys(stream) if had.isdisjoint(_numbers(hub, [key]))]
        return bool(fresh)

    wait_for("another upload", found, seconds=_COMES_WITHIN, every=0.5)
    return fresh


def _numbers(hub: EventsHub, keys: Iterable[str]) -> set[int]:
    return {number for first, last in map(hub.span, keys) for number in range(first, last + 1)}


def _another(key: str) -> str:
    name = parse_key(SITE, key.removeprefix(_SITE_FOLDER))
    assert name is not None
    return _SITE_FOLDER + batch_key(name.log, name.after, name.last, name.format, upload_mark())


def kill_amidst_a_commit(hub: EventsHub, stream: str) -> str:
    """SIGKILL the ingest when a data file of a stream is written and the commit that names it isn't; the file's name.

    Until it was hit: the moment is short.
    """
    table = hub.world.lab.store.root / BUCKET / "tables" / stream
    for _ in range(_TRIES):
        ingest, before = _ingest(hub), _data_files(table)
        written = f"a data file of {stream} is written"
        wait_for(written, lambda known=before: bool(_data_files(table) - known), seconds=_COMES_WITHIN, every=0.0005)
        os.kill(ingest, signal.SIGKILL)
        files = _data_files(table) - before
        _ingest(hub, but=ingest)
        # Whatever was on its way to the store when it died has arrived by now.
        if unnamed := files - named(hub, stream, files):
            return unnamed.pop()
    raise AssertionError(f"killed {_TRIES} times, and never amidst a commit")


def named(hub: EventsHub, stream: str, files: Iterable[str]) -> set[str]:
    """Which of these data files a table's commits name."""
    log = hub.world.lab.store.root / BUCKET / "tables" / stream / "_delta_log"
    commits = [path.read_text() for path in log.glob("*.json")]
    return {file for file in files if any(file in commit for commit in commits)}


def _data_files(table: Path) -> set[str]:
    """Those that the ingest wrote: compaction, which begins when it does, calls its own `part-00000-…`."""
    return {path.name for path in table.glob(f"day=*/part-{'?' * 8}-*.parquet")}


def _ingest(hub: EventsHub, but: int = 0) -> int:
    """The process of the ingest, once there is one (and another than `but`)."""
    found: list[int] = []

    def runs() -> bool:
        found[:] = [pid for pid in processes(hub.cluster, "skerry_operator.ingest") if pid != but]
        return bool(found)

    wait_for("the ingest runs", runs, seconds=_COMES_WITHIN)
    return found[0]
