from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.delivery.gc import UNUSED_FOR, Blob, Keep
from skerry_edge.delivery.plan import (
    DISK_RECHECK,
    Attempt,
    Delete,
    Disk,
    DropPartial,
    Fetch,
    Wanted,
    plan,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOTHING = Keep(frozenset())
PLENTY = 1 << 40


def name(n: int) -> str:
    return f"sha256:{n:064x}"


def want(n: int, size: int | None = 100) -> Wanted:
    return Wanted(name(n), 1000 if size is None else size, size)


def held(n: int, size: int = 100, age: timedelta = timedelta()) -> Blob:
    return Blob(name(n), size, NOW - age)


def disk(*blobs: Blob, partials=(), free=PLENTY, capacity=PLENTY) -> Disk:
    return Disk(blobs, dict(partials), free, capacity)


def failed(reason: str, after: timedelta) -> Attempt:
    return Attempt(1, reason, "look at it", NOW + after)


def test_fetches_the_first_missing_and_tells_all():
    made = plan([want(1), want(2), want(3)], disk(held(1)), NOTHING, {}, NOW)
    assert made.commands == (Fetch(want(2)),)
    assert [(item.digest, item.reason) for item in made.pending] == [
        (name(2), "Downloading"), (name(3), "Downloading")
    ]  # fmt: skip
    assert made.wake_at == NOW


def test_nothing_missing_means_nothing_to_wake_for():
    made = plan([want(1)], disk(held(1)), NOTHING, {}, NOW)
    assert (made.commands, made.pending, made.wake_at) == ((), (), None)


def test_a_failed_blob_waits_and_holds_up_none_behind_it():
    attempts = {name(1): failed("DigestMismatch", timedelta(seconds=9))}
    made = plan([want(1), want(2)], disk(partials={name(1): 40}), NOTHING, attempts, NOW)
    assert made.commands == (Fetch(want(2)),)
    assert [(item.reason, item.received) for item in made.pending] == [("DigestMismatch", 40), ("Downloading", 0)]


def test_waking_is_for_the_earliest_retry():
    attempts = {name(n): failed("StoreUnavailable", timedelta(seconds=n)) for n in (1, 2)}
    assert plan([want(2), want(1)], disk(), NOTHING, attempts, NOW).wake_at == NOW + timedelta(seconds=1)


def test_a_clock_set_back_by_years_holds_up_no_retry():
    made = plan([want(1)], disk(), NOTHING, {name(1): failed("StoreUnavailable", timedelta(days=1500))}, NOW)
    assert made.commands == (Fetch(want(1)),)


def test_a_retry_still_tells_why_it_is_one():
    made = plan([want(1)], disk(), NOTHING, {name(1): failed("StoreUnavailable", timedelta())}, NOW)
    assert made.commands == (Fetch(want(1)),)
    assert made.pending[0].reason == "StoreUnavailable"


def test_a_blob_that_does_not_fit_waits_while_a_smaller_one_is_fetched():
    made = plan([want(1, 500), want(2, 50)], disk(free=100, capacity=100), NOTHING, {}, NOW)
    assert made.commands == (Fetch(want(2, 50)),)
    assert [item.reason for item in made.pending] == ["DiskTooSmall", "Downloading"]
    assert "500 more bytes" in made.pending[0].message


def test_a_full_disk_is_looked_at_again():
    made = plan([want(1)], disk(free=10, capacity=100), NOTHING, {}, NOW)
    assert (made.commands, made.wake_at) == ((), NOW + DISK_RECHECK)


def test_bytes_already_received_need_no_more_room():
    made = plan([want(1, 100)], disk(partials={name(1): 60}, free=45, capacity=100), NOTHING, {}, NOW)
    assert made.commands == (Fetch(want(1, 100)),)


def test_the_reserve_is_left_free():
    assert plan([want(1, 96)], disk(free=100, capacity=100), NOTHING, {}, NOW).pending[0].reason == "DiskTooSmall"
    assert plan([want(1, 95)], disk(free=100, capacity=100), NOTHING, {}, NOW).commands == (Fetch(want(1, 95)),)


def test_room_is_made_from_what_nothing_refers_to():
    champion, old = held(8), held(9, age=timedelta(days=1))
    made = plan([want(1)], disk(champion, old, free=5, capacity=100), Keep(frozenset({name(8)})), {}, NOW)
    assert made.commands == (Delete(name(9)), Fetch(want(1)))


def test_the_champion_is_never_deleted_to_make_room():
    made = plan([want(1)], disk(held(8), free=5, capacity=100), Keep(frozenset({name(8)})), {}, NOW)
    assert made.commands == ()
    assert made.pending[0].reason == "DiskTooSmall"


def test_unwanted_partials_and_old_blobs_go():
    old = held(9, age=UNUSED_FOR * 2)
    made = plan([want(1)], disk(old, partials={name(5): 3, name(1): 3}), NOTHING, {}, NOW)
    assert made.commands == (DropPartial(name(5)), Delete(name(9)), Fetch(want(1)))


def test_nothing_is_deleted_while_it_is_unknown_what_must_stay():
    old = held(9, age=UNUSED_FOR * 2)
    made = plan([], disk(old, partials={name(5): 3}), Keep(frozenset(), complete=False), {}, NOW)
    assert made.commands == ()


numbers = st.integers(0, 12)
disks = st.builds(
    Disk,
    st.lists(st.builds(held, numbers, st.integers(0, 300), st.timedeltas(timedelta(0), timedelta(days=20))),
             unique_by=lambda item: item.digest).map(tuple),
    st.dictionaries(numbers.map(name), st.integers(0, 300)),
    st.integers(0, 1500),
    st.just(1500),
)  # fmt: skip
attempts_of = st.dictionaries(
    numbers.map(name), st.builds(failed, st.just("StoreUnavailable"), st.timedeltas(-DISK_RECHECK, DISK_RECHECK))
)


@given(
    st.lists(st.builds(want, numbers, st.one_of(st.none(), st.integers(0, 400)))),
    disks,
    st.builds(Keep, st.frozensets(numbers.map(name)), st.booleans()),
    attempts_of,
)
def test_whatever_is_there_a_plan_is_safe_and_complete(wanted, found, keep, attempts):
    made = plan(wanted, found, keep, attempts, NOW)
    wants = {item.digest for item in wanted}
    deleted = {command.digest for command in made.commands if isinstance(command, Delete)}
    fetched = [command.wanted for command in made.commands if isinstance(command, Fetch)]
    assert not deleted & (wants | keep.digests)
    assert keep.complete or not deleted
    assert {item.digest for item in made.pending} == wants - {blob.digest for blob in found.blobs}
    assert len(fetched) <= 1
    for item in fetched:
        freed = sum(blob.size for blob in found.blobs if blob.digest in deleted)
        needed = (item.limit if item.size is None else item.size) - found.partials.get(item.digest, 0)
        assert needed <= found.room + freed
        assert item.digest not in attempts or attempts[item.digest].retry_at <= NOW
    if made.pending:
        assert made.wake_at is not None


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_twice_wanted_is_once_fetched_as_first_wanted(order):
    first, second = (Wanted(name(7), limit, None) for limit in order)
    assert plan([first, second], disk(), NOTHING, {}, NOW).commands == (Fetch(first),)
