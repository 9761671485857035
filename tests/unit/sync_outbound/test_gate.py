"""What of a stream leaves: age, consent, sampling and rules, in this order."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.contents import Absent, AbsentReason, Batch, LogName
from skerry_core.batch.flags import Flags
from skerry_core.sync_policy.document import Rule
from skerry_edge.sync.outbound.consent import Consents, entity_key
from skerry_edge.sync.outbound.entity import Sampler
from skerry_edge.sync.outbound.gate import Gate
from skerry_edge.sync.outbound.rules import Rules
from tests.unit.sync_outbound.columns import NOW_US, columns, data_class, event

DAY_US = 86_400_000_000
DAYS = timedelta(days=1)
CONSENT, DAMAGED, EXPIRED, SAMPLED = (
    AbsentReason.CONSENT,
    AbsentReason.DAMAGED,
    AbsentReason.EXPIRED,
    AbsentReason.SAMPLED,
)
ANN_CONSENTS = Consents("e", 1, {entity_key("ann"): {"personal": 5}})
DROP_NAME = Rules.compile(data_class(Rule(path="name", action="Drop")), b"k" * 32)
SAMPLER = Sampler(b"k" * 32)


def gate(max_age=DAYS, consent=None, share=1.0, rules=None):
    return Gate(max_age, consent, share, rules)


def passed(gate, *batches, consents=ANN_CONSENTS):
    return gate.passed(batches, consents, SAMPLER, NOW_US)


def reasons(outcome):
    return {seq: one.reason for one in outcome.absent for seq in range(one.first, one.last + 1)}


def test_without_rules_rows_are_the_records():
    bodies = [event({"v": n}) for n in range(3)]
    batch = columns(*bodies, first=7, flags=[0, 1, 2], hlc=[70, 80, 90]).part(1, 3)
    outcome = passed(gate(), batch)
    rows = [(row.seq, row.hlc, row.flags, row.body) for row in outcome.rows]
    assert rows == [(8, 80, 1, bodies[1]), (9, 90, 2, bodies[2])]
    assert outcome.absent == ()


@pytest.mark.parametrize(
    ("received", "flags", "old"),
    [
        ([-DAY_US - 1, -DAY_US, 0], [0, 0, 0], {1}),
        # The clock was wrong; the record behind dates it.
        ([-20_000 * DAY_US, -60], [Flags.CLOCK_SUSPECT, 0], set()),
        ([-20_000 * DAY_US, -2 * DAY_US], [Flags.CLOCK_SUSPECT, 0], {1, 2}),
        ([-20_000 * DAY_US, -20_000 * DAY_US], [Flags.CLOCK_SUSPECT] * 2, set()),
        ([900 * DAY_US, -2 * DAY_US], [0, 0], {1, 2}),
        ([900 * DAY_US], [0], set()),
        ([-2 * DAY_US, -3 * DAY_US, 0], [0, 0, 0], {1, 2}),
    ],
)
def test_age(received, flags, old):
    batch = columns(*[event()] * len(received), received=[NOW_US + one for one in received], flags=flags)
    expected = dict.fromkeys(old, EXPIRED)
    assert reasons(passed(gate(), batch)) == expected
    halves = (batch.part(0, 1), batch.part(1, len(batch)))
    assert reasons(passed(gate(), *halves)) == expected


@pytest.mark.parametrize(
    ("body", "hlc", "leaves"),
    [
        (event(subject="ann"), 6, True),
        (event(subject="ann"), 5, False),
        (event(subject="bob"), 6, False),
        (event(source="ann"), 6, True),
        (event(subject="", source="ann"), 6, True),
        (event(subject="bob", source="ann"), 6, False),
        (b'{"subject":5}', 6, False),
        (b"{}", 6, False),
        (b"ann", 6, False),
    ],
)
def test_consent(body, hlc, leaves):
    outcome = passed(gate(consent="personal"), columns(body, hlc=[hlc]))
    assert reasons(outcome) == ({} if leaves else {1: CONSENT})


def test_redacted_records_do_not_leave():
    outcome = passed(gate(), columns(b"{}", b"{}", flags=[Flags.REDACTED, 0]))
    assert reasons(outcome) == {1: CONSENT}


def test_a_sampled_entity_is_whole_and_a_smaller_share_is_part_of_a_larger_one():
    bodies = [event(subject=f"s{n % 100}") for n in range(1000)]
    taken = {}
    for share in (0.0, 0.2, 0.5, 1.0):
        rows = passed(gate(share=share), columns(*bodies)).rows
        taken[share] = {json.loads(row.body)["subject"] for row in rows}
        assert len(rows) == 10 * len(taken[share])
    assert set() == taken[0.0] < taken[0.2] < taken[0.5] < taken[1.0]
    assert 35 <= len(taken[0.5]) <= 65


def test_records_without_an_entity_are_drawn_one_by_one():
    outcome = passed(gate(share=0.5), columns(*[b'{"model":"m"}'] * 400))
    assert 140 <= len(outcome.rows) <= 260


def test_what_rules_cannot_read_is_damaged():
    outcome = passed(gate(rules=DROP_NAME.apply), columns(event({"name": "Ann", "v": 1}), b"{", b"[]", event("Ann")))
    assert outcome.absent == (Absent(2, 3, DAMAGED),)
    assert json.loads(outcome.rows[0].body)["data"] == {"v": 1}
    assert outcome.misfits == 1


def test_nothing_in_nothing_out():
    assert passed(gate()).rows == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([event({"name": "x"}, subject="ann"), event(subject="bob"), b"{}", b"?"]),
            st.sampled_from([0, -2 * DAY_US]),
            st.sampled_from([0, Flags.REDACTED, Flags.CLOCK_SUSPECT]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([None, "personal"]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([None, DROP_NAME.apply]),
    st.integers(1, 11),
)
def test_every_record_is_a_row_or_absent_once(records, consent, share, rules, cut):
    bodies, ages, flags = zip(*records, strict=True)
    batch = columns(*bodies, first=10, received=[NOW_US + age for age in ages], flags=flags)
    halves = [part for part in (batch.part(0, cut), batch.part(cut, len(batch))) if len(part)]
    outcome = passed(gate(DAYS, consent, share, rules), *halves)
    Batch(LogName("s", "n", "readings", "e"), 9, batch.last, outcome.rows, outcome.absent)
    assert outcome == passed(gate(DAYS, consent, share, rules), batch)
