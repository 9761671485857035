"""A replay of chunks gives what events and rows give one by one, whatever the clock did."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry_core.features.apply import RawEvents, apply
from skerry_core.features.entity_key import entity_key
from skerry_core.features.read import read
from skerry_core.features.vector import vector
from skerry_operator.training.replay import Chunk, Vectors, reach, replay
from skerry_operator.training.rows import EntityRows
from tests.unit.features.sets import ALL, MINUTE, SECOND, T0, body, plan

NODE = ("berlin", "node-1")
NAMES = tuple(each["name"] for each in ALL)
PLAN = plan(ALL)
PRESSES = ("a", "b", "c")
KEYS = {press: entity_key((press,)) for press in PRESSES}
STEPS = [0, 1, SECOND, 20 * SECOND, MINUTE, 7 * MINUTE, 2 * 60 * MINUTE]
FALLS = [-SECOND, -4 * MINUTE, -9 * MINUTE, -50 * 60 * MINUTE]


@st.composite
def logs(draw, steps):
    """A node's events (press, data, time, received, covered) in the log's order, and rows: (press, after how many)."""
    received, events = T0, []
    for _ in range(draw(st.integers(0, 25))):
        received += draw(st.sampled_from(steps))
        time = received - draw(st.sampled_from([0, 0, SECOND, 4 * MINUTE, 6 * MINUTE, -MINUTE]))
        data = {"rms": draw(st.sampled_from([1.5, -0.0, 1 / 3, "odd"])), "state": draw(st.sampled_from(["run", "x"]))}
        data |= {"v": [1.0, 2.5, draw(st.sampled_from([0.1, -7.0]))]}
        events.append((draw(st.sampled_from(PRESSES)), data, time, received, draw(st.integers(0, 9)) > 0))
    rows = draw(st.lists(st.tuples(st.sampled_from(PRESSES), st.integers(0, len(events))), max_size=15))
    return events, rows


def one_by_one(events, rows, nows, covered):
    """What a node does: it takes in one event after the other, and reads when it is asked."""
    found = Vectors.empty(PLAN, NAMES, len(rows))
    for row, (press, after) in enumerate(rows):
        states, left_out = {}, []
        for who, data, time, received, yes in events[:after]:
            if covered and not yes:
                left_out += [min(time, received)] if who == press else []
                continue
            raw = RawEvents([body(data, subject=who)], np.array([time]), np.array([received]))
            apply(PLAN, raw, states)
        state = states.get(KEYS[press])
        made = vector(PLAN, read(PLAN, state, nows[row]), NAMES)
        found.values[row] = made.values
        found.defaulted[row] = [name in made.defaulted for name in NAMES]
        found.rejected[row] = [name in made.rejected for name in NAMES]
        found.seen[row] = state is not None
        found.kept[row] = max(left_out, default=nows[row] - reach(PLAN) - 1) < nows[row] - reach(PLAN)
    return found


def chunked(events, size, covered):
    for start in range(0, len(events), size):
        part = events[start : start + size]
        yield Chunk(
            NODE,
            [body(data, subject=who) for who, data, *_ in part],
            np.array([time for _, _, time, *_ in part]),
            np.array([received for *_, received, _ in part]),
            np.arange(start + 1, start + 1 + len(part)),
            ["e"] * len(part),
            np.array([yes for *_, yes in part]) if covered else None,
        )


def same(one, other):
    for name in ("values", "defaulted", "rejected", "seen", "kept"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("steps", [STEPS, [*STEPS, *FALLS]], ids=["a steady clock", "a clock that falls back"])
@given(data=st.data(), size=st.integers(1, 30), covered=st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_rows_as_of_the_log(steps, data, size, covered):
    events, rows = data.draw(logs(steps))
    nows = [events[after - 1][3] if after else T0 for _, after in rows]
    asked = EntityRows(
        [KEYS[press] for press, _ in rows],
        np.array(nows, np.int64),
        [NODE] * len(rows),
        ["e" if after else "" for _, after in rows],
        np.array([after for _, after in rows], np.int64),
    )
    found = replay(PLAN, NAMES, asked, chunked(events, size, covered))
    same(found, one_by_one(events, rows, nows, covered))


@given(data=st.data(), size=st.integers(1, 30), covered=st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_rows_as_of_a_time(data, size, covered):
    events, drawn = data.draw(logs(STEPS))
    after = data.draw(st.lists(st.integers(0, MINUTE), min_size=len(drawn), max_size=len(drawn)))
    nows = [(events[n - 1][3] if n else T0) + more for (_, n), more in zip(drawn, after, strict=True)]
    # By a row's time the node had all that it had received by then.
    rows = [(who, sum(event[3] <= now for event in events)) for (who, _), now in zip(drawn, nows, strict=True)]
    asked = EntityRows([KEYS[who] for who, _ in rows], np.array(nows, np.int64), [NODE] * len(rows))
    found = replay(PLAN, NAMES, asked, chunked(events, size, covered))
    same(found, one_by_one(events, rows, nows, covered))
