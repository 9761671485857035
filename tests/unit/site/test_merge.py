from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_core.verdict.thresholds import judge
from skerry_operator.site.merge import SiteView, merge_reports
from skerry_operator.site.views import NodeView
from tests.unit.site.nodes import (
    CHAMPION,
    METRIC,
    NOW,
    OTHER,
    TARGET,
    evidence,
    in_canary,
    never_fails,
    report,
    rolled_back,
    serving,
    summary,
)
from tests.unit.trust.documents import assignment, model_assignment

DOCUMENT = assignment(models=(model_assignment(),))


def merged(*nodes, before=(), document=DOCUMENT, judged_by=never_fails):
    (only,) = merge_reports(SiteView("site-a", document, nodes, before), judged_by, NOW)
    return only


def downloading(name):
    return NodeView(name, True, (report(ModelPhase.DOWNLOADING, serving=CHAMPION),))


def silent(name):
    return NodeView(name, True)


def refusing(name):
    told = report(ModelPhase.REFUSED, serving=CHAMPION, reason="SignerNotAllowed", message="not listed")
    return NodeView(name, True, (told,))


def down(name):
    return NodeView(name, False, (report(ModelPhase.LOADING, serving=None),))


@pytest.mark.parametrize(
    ("nodes", "phase", "serves"),
    [
        ([serving("a")], ModelPhase.SERVING, TARGET),
        ([serving("a"), serving("b")], ModelPhase.SERVING, TARGET),
        ([serving("a"), in_canary("b")], ModelPhase.CANARY, None),
        ([in_canary("a"), in_canary("b")], ModelPhase.CANARY, CHAMPION),
        ([in_canary("a"), downloading("b")], ModelPhase.DOWNLOADING, CHAMPION),
        ([serving("a"), silent("b")], ModelPhase.WAITING, None),
        ([serving("a", target=OTHER, serving=OTHER)], ModelPhase.WAITING, OTHER),
        ([serving("a"), down("b")], ModelPhase.SERVING, TARGET),
        ([down("a")], ModelPhase.LOADING, None),
        ([], ModelPhase.WAITING, None),
        ([refusing("a")], ModelPhase.REFUSED, CHAMPION),
        ([rolled_back("a")], ModelPhase.ROLLED_BACK, CHAMPION),
        ([rolled_back("a"), in_canary("b"), rolled_back("c")], ModelPhase.ROLLED_BACK, CHAMPION),
    ],
)
def test_the_site_is_as_far_as_its_last_node_and_serves_what_all_agree_on(nodes, phase, serves):
    site = merged(*nodes)
    assert (site.phase, site.serving_digest) == (phase, serves)
    assert site.target_digest == TARGET


@pytest.mark.parametrize(
    ("bad", "good", "quarantined"),
    [
        (1, 0, True),
        (1, 1, False),
        (2, 0, True),
        (1, 2, False),
        (2, 1, True),
        (2, 2, False),
        (3, 2, True),
        (1, 30, False),
    ],
)
def test_a_majority_condemns_the_model_and_a_lone_node_itself(bad, good, quarantined):
    nodes = [*(rolled_back(f"bad-{n}") for n in range(bad)), *(serving(f"good-{n}") for n in range(good))]
    site = merged(*nodes)
    assert (site.quarantined == (TARGET,)) == quarantined
    if quarantined:
        assert site.phase is ModelPhase.ROLLED_BACK
        assert site.failed_metric.name == METRIC.name
        assert site.failed_metric.site == "site-a"
    else:
        assert (site.phase, site.serving_digest) == (ModelPhase.SERVING, TARGET)
        assert site.reason == "SickNode"
        assert "bad-0" in site.message


def test_a_verdict_outlives_the_nodes_that_gave_it():
    before = merged(rolled_back("a"))
    after = merged(serving("b"), before=(before,))
    assert after.quarantined == (TARGET,)
    assert after.phase is ModelPhase.ROLLED_BACK
    assert after.failed_metric == before.failed_metric


def test_an_older_verdict_does_not_touch_a_newer_target():
    before = merged(rolled_back("a")).model_copy(update={"quarantined": (OTHER,)})
    site = merged(serving("a", quarantined=(OTHER,)), before=(before,))
    assert (site.phase, site.serving_digest, site.quarantined) == (ModelPhase.SERVING, TARGET, (OTHER,))


def test_evidence_that_no_node_has_enough_of_condemns_together():
    nodes = [in_canary(f"n{n}", [evidence(80, 60)]) for n in range(4)]
    assert merged(nodes[0], judged_by=judge).quarantined == ()
    site = merged(*nodes, judged_by=judge)
    assert site.quarantined == (TARGET,)
    assert site.failed_metric.name == "disagreement"
    assert "4 nodes" in site.failed_metric.message


def test_one_sick_nodes_evidence_does_not_condemn_the_others_model():
    sick = rolled_back("sick", [evidence(2000, 2000, running=False)])
    well = [in_canary(f"n{n}", [evidence(300, 3)]) for n in range(3)]
    site = merged(sick, *well, judged_by=judge)
    assert site.quarantined == ()
    assert site.phase is ModelPhase.CANARY


def test_counts_add_and_the_median_comes_from_the_merged_histogram():
    fast = in_canary("a", [evidence(300, 3, ratio=1.0)], evidence=summary(300, 3), requests=600)
    slow = in_canary("b", [evidence(100, 1, ratio=4.0)], evidence=summary(100, 1), requests=200)
    site = merged(fast, slow)
    assert (site.evidence.pairs, site.evidence.disagreements, site.requests) == (400, 4, 800)
    assert site.evidence.latency_ratio_p50 == pytest.approx(1.0, rel=0.02)


def test_the_site_serves_since_its_last_node_does():
    late = NOW + timedelta(minutes=3)
    assert merged(serving("a"), serving("b", since=late)).serving_since == late


def test_without_an_assignment_nodes_speak_for_themselves():
    site = merged(serving("a"), serving("b"), document=None)
    assert (site.phase, site.target_digest, site.serving_digest) == (ModelPhase.SERVING, TARGET, TARGET)


_nodes = st.sampled_from([serving, in_canary, downloading, silent, refusing, rolled_back, down])


@settings(deadline=None)
@given(st.lists(_nodes, max_size=7).flatmap(lambda made: st.tuples(st.just(made), st.permutations(range(len(made))))))
def test_the_order_of_nodes_never_matters_and_serving_means_serving(drawn):
    makers, order = drawn
    nodes = [make(f"node-{n}") for n, make in enumerate(makers)]
    site = merged(*nodes)
    shuffled = merged(*(nodes[n] for n in order))
    told = {"phase", "serving_digest", "quarantined", "requests", "target_digest"}
    assert site.model_dump(include=told) == shuffled.model_dump(include=told)
    if site.phase is ModelPhase.SERVING:
        assert site.serving_digest == TARGET
    if site.serving_digest is not None:
        assert any(node.ready for node in nodes)


@settings(deadline=None)
@given(bad=st.integers(1, 10), good=st.integers(0, 20))
def test_quarantine_at_the_site_takes_a_majority(bad, good):
    nodes = [*(rolled_back(f"b{n}") for n in range(bad)), *(serving(f"g{n}") for n in range(good))]
    enough = 2 * bad > bad + good if bad + good >= 3 else good == 0
    assert (TARGET in merged(*nodes).quarantined) == enough
