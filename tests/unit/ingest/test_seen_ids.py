import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_edge.ingest.seen_ids import SeenIds, _Table, id_key


@pytest.mark.parametrize(
    ("one", "other"), [(("a", "b"), ("ab", "")), (("1:a", "b"), ("1", "a:b")), (("", "x"), ("x", ""))]
)
def test_source_and_id_are_apart(one, other):
    assert id_key(*one) != id_key(*other)
    assert id_key(*one) == id_key(*one) != 0


def test_keys_are_other_ones_in_every_process():
    assert id_key("a", "b", b"one") != id_key("a", "b", b"two")


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 1 << 63)), max_size=400))
def test_a_table_is_a_dictionary(pairs):
    table, model = _Table(0), {}
    for some in (pairs[:9], pairs[9:]):
        table.put(some)
        model.update(some)
    assert {key: table.get(key) for key in range(1, 201)} == {key: model.get(key) for key in range(1, 201)}
    assert table.count == len(model)
    assert sorted(table.keys.tolist()) == sorted(model)


WINDOW, MOST = 1000, 64


@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0, 0, 1, 5, 100, 400, 2000])), max_size=150))
@settings(max_examples=200)
def test_ids_are_known_for_the_window_and_not_much_longer(steps):
    """Against a model that remembers each id's last time: at least the window, at most one generation more."""
    seen, last, now = SeenIds(WINDOW, MOST), {}, 0
    for seq, (key, pause) in enumerate(steps):
        now += pause
        found = seen.find(key, now)
        at, expected = last.get(key, (None, None))
        recent = sum(time > at for time, _ in last.values()) if at is not None else 0
        if at is not None and now - at < WINDOW and recent < MOST // 2:
            assert found == expected
        if at is None or now - at > WINDOW + WINDOW // 4 + 1:
            assert found is None
        if found is None:
            seen.add([(key, seq)], now)
            last[key] = (now, seq)


@given(st.lists(st.integers(1, 60), max_size=300), st.integers(1, 20), st.integers(4, 100))
def test_many_ids_at_once_are_remembered_as_one_by_one(keys, size, most):
    many, single = SeenIds(WINDOW, most), SeenIds(WINDOW, most)
    for now in range(0, len(keys), size):
        pairs = [(key, now + place) for place, key in enumerate(keys[now : now + size])]
        many.add(pairs, now)
        for pair in pairs:
            single.add([pair], now)
        asked = [None, *range(1, 61)]
        assert many.find_all(asked, now) == single.find_all(asked, now)
        assert [table.count for table in many._tables] == [table.count for table in single._tables]


def test_memory_is_bounded():
    seen = SeenIds(10**12, 10_000)
    for n in range(1, 200_000):
        seen.add([(n * 2654435761 % (1 << 64), n)], n)
    assert 10_000 <= len(seen) <= 12_500 + 1
    size = sum(sys.getsizeof(part) for table in seen._tables for part in (table._keys, table._values))
    assert size + sys.getsizeof(seen._hints) < 64 * len(seen)


@given(st.data())
def test_hints_hide_no_key_that_a_generation_has(data):
    seen, now = SeenIds(WINDOW, MOST), 0
    keys = st.lists(st.integers(1, (1 << 64) - 1), max_size=30)
    for _ in range(data.draw(st.integers(1, 20))):
        if data.draw(st.integers(0, 5)) == 0:
            seen.resize(
                data.draw(st.sampled_from([100, WINDOW, 20 * WINDOW])), data.draw(st.sampled_from([8, MOST, 200]))
            )
        now += data.draw(st.sampled_from([0, 1, 100, 400]))
        added = data.draw(keys)
        seen.add([(key, now) for key in added], now)
        held = [key for table in seen._tables for key in table.keys.tolist()]
        assert seen.find_all(held, now) == [seen._look_for(key) for key in held]


def test_a_smaller_window_holds_from_then_on():
    seen = SeenIds(10**9, MOST)
    seen.add([(1, 1)], 0)
    seen.resize(100, MOST)
    assert seen.find(1, 50) == 1
    assert seen.find(1, 1000) is None


@given(
    st.lists(st.tuples(st.integers(1, 400), st.sampled_from([0, 0, 0, 1, 5, 100, 400, 2000])), max_size=300),
    st.sampled_from([8, MOST]),
    st.lists(st.sampled_from([200, WINDOW, 3 * WINDOW]), max_size=3),
)
def test_reach_is_what_is_remembered(steps, most, windows):
    """No id younger than the reach is unknown; with room, and the window as it was, the reach is the window."""
    seen, last, now = SeenIds(WINDOW, most), {}, 0
    window, changes = WINDOW, {len(steps) * (at + 1) // 4: window for at, window in enumerate(windows)}
    room = True
    for seq, (key, pause) in enumerate(steps):
        now += pause
        if seq in changes:
            window, room = changes[seq], False
            seen.resize(window, most)
        if seen.find(key, now) is None:
            seen.add([(key, seq)], now)
            last[key] = now
        room = room and sum(now - at < WINDOW for at in last.values()) < most
        reach = seen.reach(now)
        assert 0 <= reach <= window
        assert not room or reach == window
        young = [key for key, at in last.items() if now - at < reach]
        assert None not in seen.find_all(young, now)


def test_a_window_that_was_short_is_whole_again_after_its_length():
    seen = SeenIds(WINDOW, 64)
    seen.add([(n, n) for n in range(1, 201)], 0)
    assert [seen.reach(now) for now in (0, 10, WINDOW - 1, WINDOW, 5 * WINDOW)] == [0, 10, WINDOW - 1, WINDOW, WINDOW]
