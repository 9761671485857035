"""What features ask sync to leave in the logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.events.follow import Place
from skerry_edge.features.course import READ
from skerry_edge.features.materializer import TELL_SECONDS
from skerry_edge.features.needed import NAME, Needed, Wishes, joined, read_needed, write_needed
from tests.unit.features.test_materializer import ONE, TWO, Site

PLACES = st.builds(Place, st.sampled_from(["", "one", "two"]), st.integers(0, 5))
NEEDS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.builds(Needed, PLACES, st.booleans())))


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.logs.close()


class Told(list):
    def start(self, site):
        features = site.start()
        features._tell = self.append
        return features


@given(NEEDS)
def test_of_several_readers_the_one_that_needs_most_decides(needs):
    wishes = Wishes(joined(needs))
    for stream, needed in needs:
        for epoch in ("one", "two", "three"):
            alone = Wishes({stream: needed})
            assert wishes.needs_after(stream, epoch) <= alone.needs_after(stream, epoch)
            assert wishes.needs_aside(stream, epoch) >= alone.needs_aside(stream, epoch)


def test_a_new_version_needs_all_of_the_log_at_once_and_what_was_committed_is_free(site):
    told = Told()
    site.add(*(("a", 1) for _ in range(READ + 600)))
    features = told.start(site)
    features.step()
    assert told[-1]["vitals"].place.seq == READ  # what the first commit has
    site.follow(features)
    for number in range(3):
        site.steady += TELL_SECONDS + 1
        site.follow(features)
        assert told[-1] == {"vitals": Needed(Place(site.stream.epoch, READ + 600 + number))}
        site.add(("a", 1))
    site.needed = {ONE, TWO}
    site.steady += 1.0
    features.step()
    assert told[-1]["vitals"].place.seq == READ


def test_a_log_that_was_set_aside_is_needed_until_it_was_committed(site):
    told = Told()
    site.add(*(("a", 1) for _ in range(READ + 600)))
    site.logs.close()
    (site.path / "log" / "vitals" / "log.json").unlink()
    site.open()
    site.add(("a", 1))
    features = told.start(site)
    features.step()
    assert told[-1]["vitals"].aside
    site.follow(features)
    site.steady += TELL_SECONDS + 1
    site.follow(features)
    assert told[-1] == {"vitals": Needed(Place(site.stream.epoch, 1))}


def test_a_disk_that_takes_no_note_stops_nothing(site):
    site.add(("a", 1))
    features = Told().start(site)

    def refuse(_):
        raise OSError(28, "no room")

    features._tell = refuse
    site.follow(features)
    assert features.find(next(iter(site.store.notes()))).applied.seq == 1


def test_the_note_is_read_as_it_was_written(tmp_path):
    assert read_needed(tmp_path) == Wishes({})
    needed = {"vitals": Needed(Place("0123", 7), aside=True)}
    write_needed(tmp_path, needed)
    wishes = read_needed(tmp_path)
    assert wishes == Wishes(needed)
    assert wishes.needs_after("vitals", "0123") == 7
    assert wishes.needs_after("vitals", "4567") == 0
    assert wishes.needs_after("others", "4567") is None
    assert wishes.needs_aside("vitals", "4567")
    assert not wishes.needs_aside("others", "4567")


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a": 1}', b"[" * 10000])
def test_a_damaged_note_asks_for_everything(tmp_path, data):
    (tmp_path / NAME).write_bytes(data)
    wishes = read_needed(tmp_path)
    assert wishes.needs_after("vitals", "0123") == 0
    assert wishes.needs_aside("vitals", "0123")
