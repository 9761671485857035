import threading
from datetime import UTC, datetime

import pytest

from skerry_api.v1alpha1.siteassignment import SiteAssignmentStatus
from skerry_core.errors import RetryError, UserMustActError, WaitError
from skerry_core.trust.errors import TrustError
from skerry_operator.kube.errors import InvalidObjectError
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import SECRETS, SITE_ASSIGNMENTS
from skerry_operator.link.fake import InMemoryLink
from skerry_operator.link.health import LinkHealth
from skerry_operator.link.local import LocalMirror
from skerry_operator.link.loop import LinkLoop
from skerry_operator.link.outbox import Outbox
from skerry_operator.link.port import Downlink
from tests.cluster.lab.waiting import wait_for
from tests.unit.link.test_mirror import HUB, THIEF, spec

NAMESPACE = "skerry-runtime"


class Session:
    """A session that stands, with the link it was given."""

    def __init__(self, link):
        self._link = link

    def link(self):
        return self._link

    def maintain(self, now, *, refused=False):
        if refused:
            raise UserMustActError("CertificateRefused", "make a token")
        raise WaitError("SiteNotAccepted", "set hubAcceptsClient")


@pytest.fixture
def hub():
    return InMemoryLink(watch_seconds=0.01)


@pytest.fixture
def local():
    return MemoryKube()


@pytest.fixture
def outbox():
    return Outbox()


@pytest.fixture
def health():
    return LinkHealth()


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def loop(hub, local, outbox, health, stop):
    return LinkLoop(Session(hub), LocalMirror(local), outbox, health, site="site-a", hub_key=HUB.public_pem, stop=stop)


def mirrored(local):
    found = local.get(SITE_ASSIGNMENTS, "current", NAMESPACE)
    return None if found is None else found["spec"]


def test_what_the_hub_offers_is_mirrored_exactly(hub, local, loop):
    hub.offer(spec(1))
    loop.follow(Downlink.ASSIGNMENT)
    assert mirrored(local) == spec(1).to_wire() | {"envelope": mirrored(local)["envelope"]}


@pytest.mark.parametrize("activity", ["credential", "report"])
def test_what_did_not_need_the_hub_does_not_tell_that_it_was_reached(loop, health, stop, activity):
    """A certificate that holds, and no report yet, say nothing of a hub that may be away since the process started."""
    loop._repeat(activity, lambda: stop.set() or 0.0)
    assert (health.state.reachable, health.state.reason) == (False, "Connecting")


@pytest.mark.parametrize("what", list(Downlink))
def test_a_hub_that_has_answered_is_reached(hub, loop, health, what):
    hub.offer(spec(1))
    hub.grant(b"{}")
    loop.follow(what)
    assert health.state.reachable


def test_a_hub_that_has_taken_a_report_is_reached(hub, loop, health, outbox):
    hub.offer(spec(1))
    outbox.put(SiteAssignmentStatus())
    loop.send_report()
    assert health.state.reachable


def test_a_certificate_that_the_hub_refuses_is_what_people_are_told_of(loop, health):
    health.fails("report", WaitError("Unauthorized", ""), stalled=False)
    with pytest.raises(UserMustActError):
        loop.keep_credential()


def test_a_hub_that_lost_the_assignment_takes_nothing_away(hub, local, loop):
    hub.offer(spec(1))
    loop.mirror_assignment()
    before = mirrored(local)
    hub.offer(None)
    loop.mirror_assignment()
    assert mirrored(local) == before


@pytest.mark.parametrize(("offered", "reason"), [(spec(1), "SerialOlder"), (spec(3, key=THIEF), "EnvelopeInvalid")])
def test_an_older_or_forged_assignment_never_reaches_the_mirror(hub, local, loop, offered, reason):
    hub.offer(spec(2))
    loop.mirror_assignment()
    before = mirrored(local)
    hub.offer(offered)
    with pytest.raises(TrustError) as caught:
        loop.mirror_assignment()
    assert caught.value.reason == reason
    assert mirrored(local) == before


def test_a_mirror_edited_by_hand_is_healed(hub, local, loop):
    hub.offer(spec(2))
    loop.mirror_assignment()
    good = mirrored(local)
    local.patch(SITE_ASSIGNMENTS, "current", NAMESPACE, {"spec": {"envelope": "mine"}})
    loop.mirror_assignment()
    assert mirrored(local) == good


class ForwardOnly(MemoryKube):
    """With the CRD's rule: spec.serial never goes back."""

    def apply(self, resource, body, subresource=""):
        held = self.get(resource, body["metadata"]["name"], body["metadata"]["namespace"])
        if held is not None and "spec" in body and order(body) < order(held):
            raise InvalidObjectError("Invalid", "spec.serial never goes back")
        return super().apply(resource, body, subresource)


def order(body):
    return body["spec"]["serial"]["incarnation"], body["spec"]["serial"]["n"]


def test_a_mirror_whose_serial_was_raised_by_hand_is_made_anew_with_its_report(hub, outbox, health, stop):
    local = ForwardOnly()
    loop = LinkLoop(Session(hub), LocalMirror(local), outbox, health, site="site-a", hub_key=HUB.public_pem, stop=stop)
    hub.offer(spec(2))
    loop.mirror_assignment()
    good = mirrored(local)
    metadata = {"name": "current", "namespace": NAMESPACE}
    local.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "status": {"nodes": 3}}, "status")
    local.patch(SITE_ASSIGNMENTS, "current", NAMESPACE, {"spec": {"serial": {"incarnation": 2**62}}})
    loop.mirror_assignment()
    assert mirrored(local) == good
    assert local.get(SITE_ASSIGNMENTS, "current", NAMESPACE)["status"] == {"nodes": 3}
    hub.offer(spec(3))
    loop.mirror_assignment()
    assert order(local.get(SITE_ASSIGNMENTS, "current", NAMESPACE)) == (1, 3)


def test_a_mirror_that_is_refused_for_another_reason_is_never_deleted(hub, local, loop, monkeypatch):
    hub.offer(spec(2))
    loop.mirror_assignment()
    before = mirrored(local)

    def refuse(*_):
        raise InvalidObjectError("Invalid", "no")

    monkeypatch.setattr(local, "apply", refuse)
    hub.offer(spec(3))
    with pytest.raises(InvalidObjectError):
        loop.mirror_assignment()
    assert mirrored(local) == before


def test_mirroring_leaves_the_report_alone(hub, local, loop):
    hub.offer(spec(1))
    loop.mirror_assignment()
    metadata = {"name": "current", "namespace": NAMESPACE}
    local.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "status": {"nodes": 3}}, "status")
    hub.offer(spec(2))
    loop.mirror_assignment()
    assert local.get(SITE_ASSIGNMENTS, "current", NAMESPACE)["status"] == {"nodes": 3}


def test_the_grant_comes_down_and_a_missing_one_leaves_the_last(hub, local, loop):
    hub.grant(b"{}")
    loop.follow(Downlink.GRANT)
    hub.grant(None)
    loop.mirror_grant()
    assert local.get(SECRETS, "store-grant", NAMESPACE)["data"] == {"grant.json": "e30="}


def test_a_report_that_did_not_arrive_is_sent_again(hub, outbox, loop):
    hub.offer(spec(1))
    outbox.put(SiteAssignmentStatus(nodes=1))
    hub.fail_with = RetryError("Cut", "no route")
    with pytest.raises(RetryError):
        loop.send_report()
    hub.fail_with = None
    loop.send_report()
    assert [report.nodes for report in hub.reports] == [1]


@pytest.mark.slow
def test_the_threads_survive_a_hub_that_is_away_and_carry_on_when_it_is_back(hub, local, outbox, health, loop, stop):
    hub.fail_with = RetryError("Cut", "no route")
    outbox.put(SiteAssignmentStatus(nodes=1, reported_at=datetime.now(UTC)))
    threads = loop.start()
    hub.offer(spec(1))
    hub.fail_with = None
    wait_for("the mirror and the report", lambda: bool(mirrored(local) and hub.reports), seconds=20)
    assert health.state.reason == "SiteNotAccepted"
    stop.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
