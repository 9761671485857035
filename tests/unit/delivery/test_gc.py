from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.delivery.gc import UNUSED_FOR, Blob, Keep, expired, make_room

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def blob(name: int, size: int = 10, age: timedelta = timedelta()) -> Blob:
    return Blob(f"sha256:{name:064x}", size, NOW - age)


blobs = st.lists(
    st.builds(blob, st.integers(0, 30), st.integers(0, 1000), st.timedeltas(timedelta(days=-1), timedelta(days=30))),
    unique_by=lambda item: item.digest,
)


def test_only_old_unreferenced_blobs_expire():
    young, old, kept = blob(1), blob(2, age=UNUSED_FOR * 2), blob(3, age=UNUSED_FOR * 2)
    assert expired((young, old, kept), Keep(frozenset({kept.digest})), NOW) == (old,)


def test_room_is_made_from_the_oldest_and_no_more_than_needed():
    old, older, oldest = (blob(n, age=timedelta(days=n)) for n in (1, 2, 3))
    assert make_room((old, older, oldest), Keep(frozenset()), 11) == (oldest, older)


def test_nothing_goes_if_all_would_not_suffice():
    kept, loose = blob(1, size=1000), blob(2)
    assert make_room((kept, loose), Keep(frozenset({kept.digest})), 11) is None


def test_nothing_goes_while_it_is_unknown_what_must_stay():
    old = blob(1, age=UNUSED_FOR * 2)
    unknown = Keep(frozenset(), complete=False)
    assert expired((old,), unknown, NOW) == ()
    assert make_room((old,), unknown, 1) is None


@given(blobs, st.sets(st.integers(0, 30)), st.integers(-1000, 5000))
def test_what_must_stay_stays(present, names, needed):
    keep = Keep(frozenset(blob(name).digest for name in names))
    victims = make_room(present, keep, needed)
    gone = {item.digest for item in (*expired(present, keep, NOW), *(victims or ()))}
    assert not gone & keep.digests
    if victims is not None:
        assert sum(item.size for item in victims) >= needed
    else:
        assert sum(item.size for item in present if item.digest not in keep.digests) < needed
