from datetime import UTC, datetime, timedelta

import pytest

from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.siteclass import RuntimeResources
from skerry_core.assignment.document import AssignmentDocument, RuntimeTemplate, Serial
from skerry_core.trust.assignment import seal_assignment
from skerry_core.trust.keys import generate_key_pair
from skerry_operator.hub.inventory import Inventory
from skerry_operator.kube.api import Listing
from skerry_operator.kube.resources import EDGE_SITES, SITE_ASSIGNMENTS

START = datetime(2030, 1, 1, tzinfo=UTC)
KEY = generate_key_pair()


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def inventory(clock):
    return Inventory(KEY.public_pem, clock)


def edge_site(version: int, uid: str = "u", **status) -> dict:
    metadata = {"name": "site-a", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"siteClassName": "lab"}, "status": status}


def assignment(version: int, reported: str | None = None, *, key=KEY) -> dict:
    document = AssignmentDocument(
        site="site-a",
        serial=Serial(incarnation=1, n=1),
        issued_at=START,
        trust_policy="sha256:" + "5" * 64,
        runtime=RuntimeTemplate(image="skerry-edge:0.1.0", resources=RuntimeResources()),
        models=(),
    )
    spec = {"envelope": seal_assignment(document, key.private_pem), "serial": {"incarnation": 1, "n": 1}}
    metadata = {"name": "current", "namespace": "skerry-site-site-a", "uid": "a", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": spec, "status": {"reportedAt": reported} if reported else {}}


def test_an_event_that_comes_late_changes_nothing(inventory):
    assert inventory.observe(EDGE_SITES, "ADDED", edge_site(9, summary="new"))
    assert not inventory.observe(EDGE_SITES, "MODIFIED", edge_site(8, summary="old"))
    assert not inventory.observe(EDGE_SITES, "MODIFIED", edge_site(9, summary="same"))
    assert inventory.get(EdgeSite, "site-a").status.summary == "new"


def test_an_object_made_anew_counts_whatever_its_version(inventory):
    inventory.observe(EDGE_SITES, "ADDED", edge_site(9))
    assert inventory.observe(EDGE_SITES, "ADDED", edge_site(3, uid="other", summary="again"))
    assert inventory.get(EdgeSite, "site-a").status.summary == "again"


def test_a_listing_forgets_what_is_not_in_it(inventory):
    inventory.observe(EDGE_SITES, "ADDED", edge_site(9))
    assert [key.name for key in inventory.replace(EDGE_SITES, Listing((), "9"))] == ["site-a"]
    assert inventory.get(EdgeSite, "site-a") is None


def test_a_listing_forgets_nothing_that_was_made_after_it(inventory):
    """The watch is faster than a listing that takes its time; the next one may be ten minutes away."""
    inventory.observe(EDGE_SITES, "ADDED", edge_site(9))
    assert [key.name for key in inventory.replace(EDGE_SITES, Listing((), "8"))] == ["site-a"]
    assert inventory.get(EdgeSite, "site-a") is not None


def test_a_listing_brings_nothing_back_that_was_deleted_after_it(inventory):
    inventory.observe(EDGE_SITES, "ADDED", edge_site(3))
    inventory.observe(EDGE_SITES, "DELETED", edge_site(9))
    inventory.replace(EDGE_SITES, Listing((edge_site(3),), "8"))
    assert inventory.get(EdgeSite, "site-a") is None
    assert not inventory.observe(EDGE_SITES, "MODIFIED", edge_site(4))
    inventory.replace(EDGE_SITES, Listing((edge_site(11, uid="other"),), "12"))
    assert inventory.get(EdgeSite, "site-a") is not None


@pytest.mark.parametrize("uid", ["u", "other"])
def test_what_was_deleted_may_be_made_anew(inventory, uid):
    inventory.observe(EDGE_SITES, "ADDED", edge_site(3))
    inventory.observe(EDGE_SITES, "DELETED", edge_site(5))
    assert inventory.observe(EDGE_SITES, "ADDED", edge_site(6 if uid == "u" else 2, uid=uid))


def test_what_cannot_be_read_leaves_the_last_that_could(inventory):
    inventory.observe(EDGE_SITES, "ADDED", edge_site(1, summary="good"))
    assert not inventory.observe(EDGE_SITES, "MODIFIED", {**edge_site(2), "spec": {"siteClassName": 7}})
    assert inventory.get(EdgeSite, "site-a").status.summary == "good"


def test_a_changed_report_is_a_sign_of_life_by_the_hubs_clock(inventory, clock):
    inventory.observe(SITE_ASSIGNMENTS, "ADDED", assignment(1))
    assert inventory.last_seen("site-a") is None
    inventory.observe(SITE_ASSIGNMENTS, "MODIFIED", assignment(2, "1999-01-01T00:00:00Z"))
    assert inventory.last_seen("site-a") == START
    clock.now = START + timedelta(minutes=1)
    inventory.observe(SITE_ASSIGNMENTS, "MODIFIED", assignment(3, "1999-01-01T00:00:00Z"))
    assert inventory.last_seen("site-a") == START
    inventory.observe(SITE_ASSIGNMENTS, "MODIFIED", assignment(4, "1999-01-01T00:00:20Z"))
    assert inventory.last_seen("site-a") == clock.now


def test_after_a_start_an_old_report_is_as_old_as_was_written_down(inventory, clock):
    inventory.observe(EDGE_SITES, None, edge_site(1, lastSeen="2029-12-24T00:00:00Z"))
    inventory.observe(SITE_ASSIGNMENTS, None, assignment(2, "2029-12-24T00:00:00Z"))
    assert inventory.last_seen("site-a") == datetime(2029, 12, 24, tzinfo=UTC)
    inventory.observe(SITE_ASSIGNMENTS, "MODIFIED", assignment(3, "2030-01-01T00:00:00Z"))
    assert inventory.last_seen("site-a") == clock.now


def test_an_envelope_by_another_key_says_nothing(inventory):
    inventory.observe(SITE_ASSIGNMENTS, None, assignment(1, key=generate_key_pair()))
    assert inventory.record("site-a").document is None
    inventory.observe(SITE_ASSIGNMENTS, None, assignment(2))
    assert inventory.record("site-a").document.site == "site-a"
