import pytest

from skerry_api.conditions import find
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.drift import DriftedColumn, DriftReport, DriftState
from skerry_api.v1alpha1.siteassignment import ModelPhase, SiteAssignmentStatus
from skerry_core.errors import UserMustActError, WaitError
from skerry_operator.link.health import LinkState
from skerry_operator.link.outbox import Outbox
from skerry_operator.site.merge import SiteView
from skerry_operator.site.status import HUB_REACHABLE, Circumstances, site_status
from skerry_operator.site.views import NodeView
from tests.unit.site.nodes import CHAMPION, NOW, TARGET, in_canary, never_fails, report, rolled_back, serving
from tests.unit.trust.documents import assignment, model_assignment

DOCUMENT = assignment(serial=(2, 7), models=(model_assignment(),))
CONNECTED = LinkState(reachable=True, stalled=False, reason="Connected", message="")


def status_of(*nodes, trouble=None, link=CONNECTED, before=None):
    view = SiteView("site-a", DOCUMENT, nodes)
    around = Circumstances(generation=3, link=link, site_version="0.1.0", trouble=trouble)
    return site_status(view, before or SiteAssignmentStatus(), around, never_fails, NOW)


def stalled(phase, reason):
    return NodeView("a", True, (report(phase, serving=CHAMPION, reason=reason, message="the store is down"),))


@pytest.mark.parametrize(
    ("nodes", "trouble", "present", "reason"),
    [
        ([serving("a")], None, {"Ready"}, "Serving"),
        ([rolled_back("a")], None, {"Ready"}, "Serving"),
        ([in_canary("a")], None, {"Ready", "Reconciling"}, "ModelsProgressing"),
        ([], None, {"Ready", "Reconciling"}, "NoNodeReady"),
        ([stalled(ModelPhase.STALLED, "StoreUnavailable")], None, {"Ready", "Reconciling"}, "StoreUnavailable"),
        ([stalled(ModelPhase.REFUSED, "SignerNotAllowed")], None, {"Ready", "Stalled"}, "SignerNotAllowed"),
        ([serving("a")], UserMustActError("EnvelopeInvalid", "x"), {"Ready", "Stalled"}, "EnvelopeInvalid"),
        ([serving("a")], WaitError("Forbidden", "x"), {"Ready", "Reconciling"}, "Forbidden"),
    ],
)
def test_conditions_say_what_a_person_needs_to_know(nodes, trouble, present, reason):
    conditions = status_of(*nodes, trouble=trouble).conditions
    assert {condition.type for condition in conditions} == present | {HUB_REACHABLE}
    assert find(conditions, "Ready").reason == reason
    assert all(condition.observed_generation == 3 for condition in conditions)


def test_a_hub_that_is_away_is_told_and_makes_nothing_unready():
    away = LinkState(reachable=False, stalled=False, reason="ApiUnavailable", message="no route to host")
    conditions = status_of(serving("a"), link=away).conditions
    assert find(conditions, HUB_REACHABLE).status is ConditionStatus.FALSE
    assert find(conditions, "Ready").status is ConditionStatus.TRUE


def drifting(*columns):
    told = tuple(DriftedColumn(name=name, psi=0.9, limit=0.2) for name in columns)
    state = DriftState.DRIFTING if columns else DriftState.STABLE
    return DriftReport(state=state, digest=TARGET, since=NOW, windows=3, columns=told, drifting_columns=len(told))


@pytest.mark.parametrize(
    ("nodes", "status", "columns"),
    [
        ([None], None, ()),
        ([drifting()], ConditionStatus.FALSE, ()),
        ([drifting(), drifting("x[1]"), None], ConditionStatus.TRUE, ("x[1]",)),
        ([drifting("x[0]"), drifting("x[1]")], ConditionStatus.TRUE, ("x[0]", "x[1]")),
    ],
)
def test_drift_of_a_node_is_told_and_makes_nothing_unready(nodes, status, columns):
    told = status_of(*(serving(f"node-{place}", drift=drift) for place, drift in enumerate(nodes)))
    found = find(told.conditions, "Drifting")
    assert (found and found.status) == status
    assert find(told.conditions, "Ready").status is ConditionStatus.TRUE
    (model,) = told.models
    assert (model.phase, model.quarantined, model.failed_metric) == (ModelPhase.SERVING, (), None)
    assert tuple(column.name for column in (model.drift.columns if model.drift else ())) == columns


def test_figures_of_drift_hurry_no_report():
    outbox = Outbox()
    assert outbox.put(status_of(serving("a", drift=drifting("x[0]"))))
    more = drifting("x[0]").model_copy(update={"windows": 4})
    assert not outbox.put(status_of(serving("a", drift=more)))
    assert outbox.put(status_of(serving("a", drift=drifting("x[0]", "x[1]"))))
    assert outbox.put(status_of(serving("a", drift=drifting())))


def test_the_report_counts_nodes_and_names_the_serial_it_is_about():
    status = status_of(serving("a"), NodeView("b", False, queue_depth=1000))
    assert (status.nodes, status.nodes_ready, status.queue_depth) == (2, 1, 1000)
    assert status.observed_serial == DOCUMENT.serial
    assert status.reported_at == NOW
