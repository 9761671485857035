"""What is named as the cause of bad answers, for what answers can have in common."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.lineage.causes import MIN_BAD, MIN_RATIO, Cause, Cell, Verdict, judge_causes, risk_ratio, suspects
from skerry_operator.cli.explanation_text import verdict_lines

OLD, NEW, OTHER = ("sha256:" + digit * 64 for digit in "123")
NODES = ("berlin/n1", "berlin/n2", "rome/n3")


def cell(answers, bad, release=OLD, node=NODES[0], sets="plant/presses 1.0.0", *, stale=False, damaged=False, of=""):
    return Cell(release, node, sets, stale, damaged, answers, bad, of)


def causes(*cells):
    return [(each.likely.cause, each.likely.subject) for each in judge_causes(cells).findings]


HEALTHY = [cell(1000, 10, node=node) for node in NODES]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([cell(100, 60, node=node, stale=True) for node in NODES], [(Cause.STALE_FEATURES, "")]),
        ([cell(300, 90, NEW, node=node) for node in NODES], [(Cause.ROLLOUT, NEW)]),
        ([cell(300, 90, node=NODES[2], damaged=True)], [(Cause.CORRUPT_CACHE, NODES[2])]),
        ([cell(300, 90, node="rome/n4")], [(Cause.NODE, "rome/n4")]),
        (
            [cell(300, 90, node=node, sets="plant/presses 2.0.0") for node in NODES],
            [(Cause.FEATURE_SET, "plant/presses 2.0.0")],
        ),
        # Damage made the features stale, and so did a release.
        ([cell(300, 90, node=NODES[2], damaged=True, stale=True)], [(Cause.CORRUPT_CACHE, NODES[2])]),
        ([cell(300, 90, NEW, node=node, stale=True) for node in NODES], [(Cause.ROLLOUT, NEW)]),
        # Stale ones are bad in both releases.
        (
            [cell(500, 300, stale=True), cell(500, 300, NEW, stale=True), cell(1000, 10, NEW)],
            [(Cause.STALE_FEATURES, "")],
        ),
        # Two causes at once.
        (
            [
                *(cell(400, 200, NEW, node=node) for node in NODES),
                cell(100, 60, stale=True),
                cell(80, 50, node=NODES[1], stale=True),
            ],
            [(Cause.ROLLOUT, NEW), (Cause.STALE_FEATURES, "")],
        ),
        # Both releases of a round are bad, on every node, and no single one explains it.
        (
            [cell(300, 90, release, node=node, of="round-7") for node in NODES for release in (NEW, OTHER)],
            [(Cause.TRAINING_ROUND, "round-7")],
        ),
        # One release of the round is bad, and the other is well.
        ([cell(300, 90, NEW, of="round-7"), cell(900, 9, OTHER, of="round-7")], [(Cause.ROLLOUT, NEW)]),
        # A little more than others is nothing.
        ([cell(1000, 15, NEW)], []),
        ([cell(5, 5, NEW)], []),
    ],
)
def test_named(cells, expected):
    assert causes(*HEALTHY, *cells) == expected


def test_what_cannot_be_told_apart_is_said():
    verdict = judge_causes([*HEALTHY, cell(300, 90, NEW, node="rome/n4", damaged=True)])
    (finding,) = verdict.findings
    assert finding.likely.cause is Cause.CORRUPT_CACHE
    assert {each.cause for each in finding.alike} == {Cause.ROLLOUT, Cause.NODE}
    assert (finding.likely.exposed_bad, finding.likely.exposed, finding.likely.other_bad, finding.likely.others) == (
        90,
        300,
        30,
        3000,
    )
    assert finding.likely.low > MIN_RATIO
    text = list(verdict_lines(verdict))
    assert text[0] == "120 of 3300 answers are bad"
    assert text[1].startswith("likely cause: damage on node rome/n4")
    assert "90 of 300 such answers are bad, 30 of 3000 others" in text[2]
    assert text[-1] == "30 of 120 bad answers are left without a cause"


def test_a_round_of_one_release_cannot_be_told_from_it():
    (finding,) = judge_causes([*HEALTHY, *(cell(300, 90, NEW, node=node, of="round-7") for node in NODES)]).findings
    assert finding.likely.cause is Cause.ROLLOUT
    assert [(each.cause, each.subject) for each in finding.alike] == [(Cause.TRAINING_ROUND, "round-7")]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([], "0 of 0 answers are bad: too few"),
        ([cell(100, 9)], "9 of 100 answers are bad: too few"),
        ([cell(100, 50)], "nothing that is recorded sets them apart"),
        (HEALTHY, "nothing that is recorded sets them apart"),
    ],
)
def test_when_none_is_named(cells, reason):
    verdict = judge_causes(cells)
    assert verdict.findings == ()
    assert reason in verdict.reason


def test_the_ratio_and_its_interval():
    ratio, low, high = risk_ratio(90, 300, 30, 3000)
    assert ratio == pytest.approx(29.6, rel=0.01)
    assert (low, high) == pytest.approx((12.3, 70.9), rel=0.01)
    assert risk_ratio(0, 10, 0, 10)[0] == pytest.approx(1.0)


CELLS = st.lists(
    st.builds(
        lambda answers, share, training, *rest: Cell(*rest, answers, round(answers * share), training),
        st.integers(1, 10_000),
        st.floats(0, 1),
        st.sampled_from(["", "r1", "r2"]),
        st.sampled_from([OLD, NEW]),
        st.sampled_from(NODES),
        st.sampled_from(["", "a 1", "a 2"]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)


@given(CELLS, st.randoms())
def test_of_any_answers(cells, random):
    verdict = judge_causes(cells)
    for each in (
        suspect for finding in verdict.findings for suspect in (finding.through or finding.likely, *finding.alike)
    ):
        assert each.low >= MIN_RATIO
        assert each.exposed_bad >= MIN_BAD
        assert each.low <= each.ratio
        assert each.high is None or each.ratio <= each.high
    shuffled = list(cells)
    random.shuffle(shuffled)
    again = judge_causes(shuffled)
    assert [each.likely.subject for each in again.findings] == [each.likely.subject for each in verdict.findings]
    for each in suspects(cells):
        assert (each.exposed + each.others, each.exposed_bad + each.other_bad) == (verdict.answers, verdict.bad)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict
    assert list(verdict_lines(verdict))
