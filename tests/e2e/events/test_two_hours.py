"""Whatever goes wrong in and after an outage: the hub's table and the devices' ledgers agree, id for id."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skerry_core.batch.flags import Flags
from tests.cluster.lab.waiting import wait_for
from tests.e2e.events.mischief import named
from tests.e2e.events.node_clock import settable
from tests.e2e.events.two_hours import DEVICES, EVENTS, NODE_OFF, SECONDS, STREAM, acknowledged, two_hours
from tests.e2e.faults.world import TOLD_WITHIN

pytestmark = [pytest.mark.lab, pytest.mark.long]

COMES_WITHIN = 240.0


@pytest.fixture
def clock(world, site):
    with settable(site.cluster) as clock:
        yield clock
    world.wait_champion()


@pytest.fixture
def presses(world, clock, site):
    """A policy with the stream, in force on the node."""
    world.story.hub.apply((Path(__file__).parent / "two_hours.yaml").read_text())
    site.wait_stream(STREAM, TOLD_WITHIN)


def test_table_and_ledgers_agree_id_for_id_after_two_hours_of_everything(hub, site, clock, presses):
    with two_hours(site, hub, clock) as past:
        ledger = acknowledged(site)
        meanwhile = [at for at in ledger.values() if past.cut.timestamp() < at < past.joined.timestamp()]
        assert (past.seconds >= SECONDS, len(meanwhile) >= EVENTS) == (True, True)
        wait_for("every event is at the hub", lambda: ledger.keys() <= _ids(hub).keys(), seconds=COMES_WITHIN, every=1)
    assert _ids(hub) == dict.fromkeys(ledger, 1)
    assert hub.ask(f"SELECT * FROM gaps WHERE stream = '{STREAM}'") == []
    _each_fault_was_one(hub, past)


def _ids(hub) -> Counter[str]:
    return Counter(row["id"] for row in hub.ask(f"SELECT id FROM {STREAM}"))


def _each_fault_was_one(hub, past) -> None:
    """Uploads did come late, the ingest did die amidst a commit, and clocks were years off when events came in."""
    came = [_first_ingested(hub, span) for span in (past.shuffled.early, *past.shuffled.late)]
    assert min(came[1:]) > came[0]
    assert named(hub, STREAM, [past.uncommitted]) == set()
    behind = datetime.now(UTC) + NODE_OFF / 2
    (off,) = hub.ask(f"""
        SELECT count(*) AS events, bool_and(flags & {Flags.CLOCK_SUSPECT:d} <> 0) AS suspect
        FROM {STREAM} WHERE received < '{behind.isoformat()}'""")
    assert (off["events"] > EVENTS * 0.9, off["suspect"]) == (True, True)
    ahead = datetime.now(UTC) + DEVICES["ahead"] / 2
    devices = hub.ask(
        f"SELECT DISTINCT split_part(id, '-', 1) AS device FROM {STREAM} WHERE time > '{ahead.isoformat()}'"
    )
    assert devices == [{"device": "ahead"}]


def _first_ingested(hub, span: tuple[int, int]) -> datetime:
    first, last = span
    when = hub.one(f"SELECT min(ingested) AS at FROM {STREAM} WHERE seq BETWEEN {first} AND {last}")
    assert isinstance(when, datetime)
    return when
