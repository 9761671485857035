"""Overruns: when they begin, when they end, and what is said of them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.events.admission import floor_bytes
from skerry_edge.telemetry.catalogue import TIERS
from skerry_edge.telemetry.incidents import Begun, Ended, IncidentState, incidents
from skerry_edge.telemetry.overrun import ENDS_AFTER, QUEUE_RECORDS, Limit, Side, Subject, causes, standings, takers
from tests.unit.telemetry.snapshots import GIB, MIB, disk, queue, snapshot, stream

PLANT = Subject(Limit.STREAM_FULL, "plant")
BULK_DISK = Subject(Limit.DISK_FULL, "Bulk")
BULK_QUEUE = Subject(Limit.QUEUE_LONG, "Bulk")
BUDGET = Subject(Limit.BUDGET_SPENT, "CriticalTelemetry")
FLOOR = floor_bytes(4, 100 * GIB)


def run(*snapshots, state=None):
    """The events of a sequence of snapshots, and the state after it."""
    state, before, events = state or IncidentState(), None, []
    for now in snapshots:
        state, found = incidents(state, before, now)
        events += found
        before = now
    return state, events


def kinds(events):
    return [
        (type(each).__name__, each.overrun.subject.limit.value, *(each.remedies if isinstance(each, Ended) else ()))
        for each in events
    ]


@pytest.mark.parametrize(
    ("levels", "subject", "side"),
    [
        (stream(95 * MIB), PLANT, Side.OVER),
        (stream(94 * MIB), PLANT, Side.BETWEEN),
        (stream(84 * MIB), PLANT, Side.CLEAR),
        (disk(FLOOR - 1), BULK_DISK, Side.OVER),
        (disk(FLOOR), BULK_DISK, Side.BETWEEN),
        (disk(FLOOR * 1.125), BULK_DISK, Side.CLEAR),
        (disk(FLOOR - 1), Subject(Limit.DISK_FULL, "Diagnostics"), Side.CLEAR),
        (queue(QUEUE_RECORDS + 1), BULK_QUEUE, Side.OVER),
        (queue(QUEUE_RECORDS), BULK_QUEUE, Side.BETWEEN),
        (queue(QUEUE_RECORDS / 2 - 1), BULK_QUEUE, Side.CLEAR),
        (queue(5, "BudgetUsed", tier="CriticalTelemetry"), BUDGET, Side.OVER),
        (queue(5, "LinkDown", tier="CriticalTelemetry"), BUDGET, Side.CLEAR),
        (queue(0, "BudgetTooSmall", tier="CriticalTelemetry"), BUDGET, Side.CLEAR),
        (queue(5, "BudgetUsed"), BUDGET, None),
        ({}, PLANT, None),
    ],
)
def test_standing(levels, subject, side):
    found = standings(None, snapshot(0, levels)).get(subject)
    assert (None if found is None else found.side) is side


def test_a_long_queue_that_shrinks_does_not_begin_anything():
    _, events = run(snapshot(0, queue(QUEUE_RECORDS)), snapshot(10, queue(QUEUE_RECORDS)))
    assert not events
    before, now = snapshot(0, queue(90_000)), snapshot(10, queue(80_000))
    assert standings(before, now)[BULK_QUEUE].side is Side.BETWEEN


@pytest.mark.parametrize(
    ("limit", "levels", "told"),
    [
        (Limit.STREAM_FULL, queue(5, "LinkDown", "Metered"), ("LinkDown", "Metered")),
        (Limit.STREAM_FULL, {}, ("IntakeOutrunsUpload",)),
        (Limit.DISK_FULL, disk(1 * GIB, logs=60 * GIB), ("LogsGrew",)),
        (Limit.DISK_FULL, disk(1 * GIB, logs=2 * GIB) | queue(5, "LinkDown"), ("OthersGrew", "LinkDown")),
        (Limit.BUDGET_SPENT, queue(5, "BudgetUsed", "LinkDown"), ("BudgetUsed",)),
    ],
)
def test_causes(limit, levels, told):
    assert causes(limit, levels) == told


def test_takers():
    levels = {("logBytes", name): size * GIB for name, size in (("a", 1), ("b", 7), ("c", 3), ("d", 0))}
    levels |= {("diskFree",): 10 * GIB, ("diskCapacity",): 100 * GIB}
    assert takers(PLANT, levels) == (("b", 7 * GIB), ("c", 3 * GIB), ("a", GIB))
    assert takers(BULK_DISK, levels) == (("(other)", 79 * GIB), ("b", 7 * GIB), ("c", 3 * GIB))
    assert takers(BULK_QUEUE, queue(5, size=700)) == (("Bulk", 700),)


def test_a_stream_that_filled_while_the_link_was_down():
    """The whole story: what it was, what was shed meanwhile, and what remedied it."""
    held, free = queue(5, "LinkDown"), queue(5)
    shed = {("refused", "plant"): 40.0, ("refused", "press"): 7.0, ("expired", "plant"): 3.0}
    freed = shed | {("freedBytes", "plant"): 80.0 * MIB, ("uploadedRecords", "Bulk"): 900.0}
    state, events = run(
        snapshot(0, stream(50 * MIB)),
        snapshot(10, stream(96 * MIB) | held),
        snapshot(20, stream(100 * MIB) | held, shed),
        snapshot(30, stream(90 * MIB), shed),
        snapshot(40, stream(20 * MIB) | free, freed),
        snapshot(50, stream(20 * MIB) | free, freed),
        snapshot(60, stream(20 * MIB) | free, freed),
        snapshot(70, stream(20 * MIB) | free, freed),
        snapshot(80, stream(20 * MIB) | free, freed),
    )
    began, ended = events
    assert state.open == ()
    assert isinstance(began, Begun)
    assert began.overrun.subject == PLANT
    assert began.overrun.causes == ("LinkDown",)
    assert (began.overrun.level, began.overrun.bound) == (96 * MIB, 100 * MIB)
    assert ended.remedies == ("LinkBack", "UploadedSegmentsFreed", "Expired")
    assert ended.overrun.start == began.overrun.start == snapshot(10).wall
    assert ended.end == snapshot(70).wall
    assert ended.overrun.worst == 100 * MIB
    assert ended.overrun.tally["uploadedRecords"] == 900
    assert ended.overrun.tally["refused"] == 40
    assert ended.overrun.tally["expired"] == 3
    assert ended.overrun.tally["freedBytes"] == 80 * MIB


def test_a_link_that_hangs_is_the_cause_though_nobody_could_tell_when_it_began():
    state, (began,) = run(
        snapshot(0, stream(50 * MIB)),
        snapshot(10, stream(96 * MIB)),
        snapshot(20, stream(96 * MIB) | queue(5, "LinkDown")),
        snapshot(30, stream(96 * MIB) | queue(5, "Metered")),
    )
    assert began.overrun.causes == ("IntakeOutrunsUpload",)
    assert [each.causes for each in state.open] == [("LinkDown",)]


def after_the_fact(levels, counts=None):
    """A stream's overrun that ends with `levels` and `counts`."""
    _, events = run(snapshot(0, stream(99 * MIB)), *(snapshot(seconds, levels, counts) for seconds in (10, 20, 30, 40)))
    return events[-1].remedies


def test_remedies_of_a_stream():
    assert after_the_fact(stream(50 * MIB)) == ("IntakeFell",)
    assert after_the_fact(stream(99 * MIB, 300 * MIB)) == ("LimitRaised",)
    assert after_the_fact(stream(50 * MIB), {("freedBytes", "plant"): 1.0}) == ("UploadedSegmentsFreed",)
    assert after_the_fact(stream(50 * MIB), {("freedBytes", "press"): 1.0}) == ("IntakeFell",)
    assert after_the_fact({}) == ("StreamRemoved",)


def test_a_disk_that_somebody_else_filled_and_cleared():
    state, events = run(
        snapshot(0, disk(FLOOR / 2, logs=GIB)), *(snapshot(each, disk(50 * GIB, logs=GIB)) for each in (10, 20, 30, 40))
    )
    assert not state.open
    ended = {each.overrun.subject.name: each for each in events if isinstance(each, Ended)}
    assert set(ended) == {tier for rank, tier in enumerate(TIERS) if floor_bytes(rank, 100 * GIB) > FLOOR / 2}
    assert ended["Bulk"].remedies == ("DiskFreed",)
    assert ended["Bulk"].overrun.worst == FLOOR / 2


def test_a_disk_that_logs_filled_and_uploads_cleared():
    counts = {("freedBytes", "press"): 30.0 * GIB, ("refused", "plant"): 9.0, ("refused", "telemetry"): 2.0}
    _, events = run(
        snapshot(0, disk(FLOOR - 1, logs=60 * GIB)),
        *(snapshot(each, disk(30 * GIB, logs=30 * GIB), counts) for each in (10, 20, 30, 40)),
    )
    assert kinds(events) == [("Begun", "DiskFull"), ("Ended", "DiskFull", "UploadedSegmentsFreed")]
    assert events[0].overrun.causes == ("LogsGrew",)
    # Only the tier's own streams count as shed by it: `telemetry` is of another.
    assert events[1].overrun.tally["refused"] == 9


def test_a_budget_has_to_be_spent_for_a_while():
    spent, fine = queue(5, "BudgetUsed", tier="CriticalTelemetry"), queue(5, tier="CriticalTelemetry")
    _, events = run(*(snapshot(each, spent) for each in range(0, 300, 10)), snapshot(300, fine), snapshot(310, spent))
    assert not events
    state, events = run(*(snapshot(each, spent) for each in range(0, 310, 10)))
    assert kinds(events) == [("Begun", "BudgetSpent")]
    counts = {("uploadedRecords", "CriticalTelemetry"): 5.0, ("uploadedRecords", "Bulk"): 7.0}
    _, events = run(*(snapshot(each, fine, counts) for each in range(310, 380, 10)), state=state)
    assert kinds(events) == [("Ended", "BudgetSpent", "BudgetRenewed", "Uploaded")]
    assert events[0].overrun.tally == {"uploadedRecords": 5}


def test_what_nobody_tells_of_goes_on_for_a_tier_and_is_gone_for_a_stream():
    state, _ = run(snapshot(0, queue(QUEUE_RECORDS + 1) | stream(99 * MIB)))
    assert {each.subject for each in state.open} == {BULK_QUEUE, PLANT}
    state, events = run(*(snapshot(each, {}) for each in range(10, 60, 10)), state=state)
    assert kinds(events) == [("Ended", "StreamFull", "StreamRemoved")]
    assert [each.subject for each in state.open] == [BULK_QUEUE]


def test_it_swings_around_its_limit_and_is_one_overrun():
    sizes = [50, 96, 90, 97, 84, 96, 84, 90, 99, 50, 50, 50, 50]
    _, events = run(*(snapshot(10 * index, stream(size * MIB)) for index, size in enumerate(sizes)))
    assert kinds(events) == [("Begun", "StreamFull"), ("Ended", "StreamFull", "IntakeFell")]


def test_over_a_reboot_it_goes_on():
    state, _ = run(snapshot(0, stream(99 * MIB)), snapshot(10, stream(50 * MIB)))
    assert state.open[0].clear_since is not None
    state, events = incidents(state, snapshot(10, stream(50 * MIB)), snapshot(900, stream(50 * MIB), boot="boot-2"))
    assert not events
    _, events = incidents(
        state, snapshot(900, stream(50 * MIB), boot="boot-2"), snapshot(930, stream(50 * MIB), boot="boot-2")
    )
    assert kinds(events) == [("Ended", "StreamFull", "IntakeFell")]


LEVELS = st.tuples(
    st.sampled_from([0, 50, 84, 86, 94, 96, 100]),
    st.sampled_from([0.5, 1.05, 1.2, 3.0]),
    st.sampled_from([0, 20_000, 30_000, 50_001, 60_000]),
    st.sets(st.sampled_from(["LinkDown", "BudgetUsed", "Metered"])),
)
STEPS = st.lists(
    st.tuples(LEVELS, st.integers(1, 400), st.sampled_from(["go", "restart", "reboot", "silent"])), max_size=40
)


def levels_of(size, free, queued, held):
    critical = queue(queued, *held, tier="CriticalTelemetry")
    return stream(size * MIB) | disk(FLOOR * free) | queue(queued, *held) | critical


@given(STEPS)
def test_only_what_began_ends_and_what_is_over_ends(steps):
    state, before = IncidentState(), None
    is_open = {}
    at, boot, ran = 0, 0, 0
    refused = 0.0
    for (size, free, queued, held), seconds, what in steps:
        at += seconds
        boot += what == "reboot"
        ran += what in {"restart", "reboot"}
        refused = 1.0 if what in {"restart", "reboot"} else refused + 1
        if what == "restart":
            # The observer begins anew with what it noted.
            state = msgspec.json.decode(msgspec.json.encode(state), type=IncidentState)
        levels = {} if what == "silent" else levels_of(size, free, queued, held)
        now = snapshot(at, levels, {("refused", "plant"): refused}, boot=f"boot-{boot}", run=f"run-{ran}")
        state, events = incidents(state, before, now)
        before = now
        for each in events:
            subject = each.overrun.subject
            if isinstance(each, Begun):
                assert subject not in is_open
                is_open[subject] = each.overrun
            else:
                began = is_open.pop(subject)
                assert each.remedies
                assert each.end >= each.overrun.start == began.start
        assert set(is_open) == {each.subject for each in state.open}
        for subject, standing in standings(None, now).items():
            if standing.side is Side.OVER and subject.limit in {Limit.STREAM_FULL, Limit.DISK_FULL}:
                assert subject in is_open
    for extra in (0, max(ENDS_AFTER.values())):
        now = snapshot(at + 1 + extra, levels_of(0, 3.0, 0, ()), boot=f"boot-{boot}", run=f"run-{ran}")
        state, events = incidents(state, before, now)
        before = now
    assert state.open == ()
