"""Two hours without a link, one minute a second, and everything that may go wrong on the way back.

Two devices send 200 events a second, one by a clock that is years ahead; meanwhile the node's own is years behind. Two
minutes stand for the two hours: what has an age or a budget has it in other tests, and what is shown here is that
nothing is lost, nothing doubled and nothing invented. The link then comes back thin and lossy, the store goes, uploads
come in another order and twice, and the ingest is killed amidst a commit.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.cluster.lab.errors import DeadlineError
from tests.cluster.lab.waiting import wait_for
from tests.e2e.events.hub import EventsHub
from tests.e2e.events.mischief import Shuffled, kill_amidst_a_commit, no_store, shuffle_and_double
from tests.e2e.events.node_clock import NodeClock
from tests.e2e.events.site import EventsSite

STREAM = "presses"
SECONDS = 120  # of outage
EVENTS = 200 * SECONDS
LINK = 64_000  # bits a second
LOSS = 0.3
DEVICES = {"right": timedelta(), "ahead": timedelta(days=3_000)}  # how far a device's clock is off
NODE_OFF = timedelta(days=-2_000)
_NOISE = 12  # bytes an event: what two hours leave behind must pass such a link within minutes
_SOON = 60.0
_LOSSY = 120.0


@dataclass(frozen=True)
class TwoHours:
    """An outage that is over, its devices stopped.

    `held_up` and `lost` count packets: how often one waited for the thin link, and how many were lost each way at
    least. `uncommitted` is a data file that the killed ingest left.
    """

    cut: datetime
    joined: datetime
    held_up: int
    lost: int
    shuffled: Shuffled
    uncommitted: str

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.joined - self.cut).total_seconds()


@contextmanager
def two_hours(site: EventsSite, hub: EventsHub, clock: NodeClock) -> Iterator[TwoHours]:
    """Have it happen; inside, the link is still thin. The devices' ledgers have what was acknowledged."""
    for name, off in DEVICES.items():
        site.start_device(STREAM, name, noise=_NOISE, off=off)
    hub.wait("the first events", f"SELECT 1 FROM {STREAM} LIMIT 1", _SOON)
    with site.cluster.thin(LINK) as held_up:
        with site.cluster.lossy(LOSS) as lost:
            cut, joined = _without_a_link(site, clock)
            there = set(hub.keys(STREAM))
            # Whether any pass is chance; what breaks off comes again, and that must double nothing.
            with suppress(DeadlineError):
                wait_for("uploads pass the loss", lambda: len(set(hub.keys(STREAM)) - there) > 1, seconds=_LOSSY)
            lost_each_way = lost()
        with no_store(hub):
            down = datetime.now(UTC)
            taken = "the node takes events without the store"
            wait_for(taken, lambda: _acknowledged_since(site, down) > EVENTS // 10, seconds=_SOON, every=1)
        shuffled = shuffle_and_double(hub, STREAM)
        uncommitted = kill_amidst_a_commit(hub, STREAM)
        site.stop_devices()
        yield TwoHours(cut, joined, held_up(), lost_each_way, shuffled, uncommitted)


def _without_a_link(site: EventsSite, clock: NodeClock) -> tuple[datetime, datetime]:
    """The two hours; when they began and ended. With the link comes the right time, as from a time server."""
    site.cluster.cut()
    try:
        cut = datetime.now(UTC)
        clock.set_off(NODE_OFF)
        wait_for(
            "two hours have passed",
            lambda: datetime.now(UTC) - cut >= timedelta(seconds=SECONDS) and _acknowledged_since(site, cut) >= EVENTS,
            seconds=2 * SECONDS,
            every=1,
        )
        joined = datetime.now(UTC)
    finally:
        clock.set_off(timedelta())
        site.cluster.join()
    return cut, joined


def acknowledged(site: EventsSite) -> dict[str, float]:
    """The devices' ledgers: each event's id, and when its device was told that the node has it."""
    return {each: line.at for name in DEVICES for line in site.acknowledged(name) for each in line.ids}


def _acknowledged_since(site: EventsSite, begin: datetime) -> int:
    return sum(at > begin.timestamp() for at in acknowledged(site).values())
