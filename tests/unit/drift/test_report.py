"""Nodes' drift as the site's, and as a condition: what is told, and what is news."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.drift import MAX_REPORTED, DriftedColumn, DriftReport, DriftState
from skerry_api.v1alpha1.siteassignment import ModelPhase, ModelReport
from skerry_core.drift.report import columns_of, condition_of, of_site, settled

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
COLLECTING, STABLE = (DriftReport(state=state, digest=DIGEST) for state in (DriftState.COLLECTING, DriftState.STABLE))


def drifting(*columns, digest=DIGEST, since=NOW, more=0):
    return DriftReport(
        state=DriftState.DRIFTING,
        digest=digest,
        since=since,
        windows=4,
        columns=tuple(DriftedColumn(name=name, psi=psi, limit=0.2) for name, psi in columns),
        drifting_columns=len(columns) + more,
        nodes=1,
    )


def model(drift, name="har"):
    return ModelReport(namespace="team", model=name, phase=ModelPhase.SERVING, drift=drift)


@pytest.mark.parametrize(
    ("nodes", "state"),
    [
        ([], None),
        ([None], None),
        ([None, COLLECTING], "Collecting"),
        ([COLLECTING, STABLE], "Stable"),
        ([STABLE, drifting(("x", 1.0))], "Drifting"),
        ([drifting(("x", 1.0), digest=OTHER)], None),
        ([STABLE, drifting(("x", 1.0), digest=OTHER)], "Stable"),
    ],
)
def test_a_site_drifts_if_a_node_does(nodes, state):
    merged = of_site(nodes, DIGEST)
    assert (None if merged is None else merged.state) == state


def test_columns_of_nodes_are_told_at_their_worst():
    late = NOW + timedelta(hours=1)
    merged = of_site([drifting(("x", 0.5), ("y", 0.9)), drifting(("x", 0.7), since=late, more=3), STABLE], None)
    assert [(column.name, column.psi) for column in merged.columns] == [("y", 0.9), ("x", 0.7)]
    assert (merged.nodes, merged.drifting_columns, merged.since, merged.windows) == (2, 4, NOW, 8)


reports = st.one_of(
    st.none(),
    st.just(COLLECTING),
    st.just(STABLE),
    st.lists(
        st.tuples(st.sampled_from([f"x[{n}]" for n in range(40)]), st.floats(0.21, 9)), min_size=1, max_size=16
    ).map(lambda found: drifting(*dict(found).items())),
)


@given(nodes=st.lists(reports, max_size=6), data=st.data())
def test_the_order_of_nodes_is_nothing(nodes, data):
    merged = of_site(nodes, None)
    assert of_site(data.draw(st.permutations(nodes)), None) == merged
    if merged is not None:
        assert len(merged.columns) <= MAX_REPORTED
        assert (merged.state is DriftState.DRIFTING) == bool(merged.columns)
        DriftReport.model_validate(merged.to_wire())


@pytest.mark.parametrize(
    ("drifts", "status", "reason"),
    [
        ([], None, ""),
        ([None], None, ""),
        ([COLLECTING], ConditionStatus.UNKNOWN, "Collecting"),
        ([COLLECTING, STABLE], ConditionStatus.FALSE, "LikeValidationData"),
        ([STABLE, drifting(("x", 1.0))], ConditionStatus.TRUE, "ColumnsDrift"),
    ],
)
def test_the_condition(drifts, status, reason):
    told = condition_of([model(drift) for drift in drifts])
    assert (told and told.status, "" if told is None else told.reason) == (status, reason)


def test_the_condition_says_what_drifts_and_what_to_do():
    message = condition_of([model(drifting(("x[3]", 0.812)))]).message
    assert message.startswith("team/har: x[3] (PSI 0.81, at most 0.2); nothing is rolled back for it")
    assert columns_of(drifting(("a", 1), ("b", 1), ("c", 1), ("d", 1), more=2)).endswith("and 3 more")


def test_figures_of_each_window_are_no_news():
    one, same = drifting(("x", 0.5), ("y", 0.9)), drifting(("y", 0.6), ("x", 0.8))
    assert settled(one) == settled(same.model_copy(update={"windows": 9}))
    assert settled(one) != settled(drifting(("x", 0.5)))
    assert settled(one) != settled(STABLE)
    assert settled(None) is None
