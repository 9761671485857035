"""What the link counts, against what a socket on the hub's side saw of each call."""

import json
from contextlib import suppress

import pytest
from kubernetes.client import Configuration
from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.siteassignment import SiteAssignmentStatus
from skerry_core.errors import WaitError
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import SITE_ASSIGNMENTS
from skerry_operator.kube.rest import RestKube
from skerry_operator.link.credential import CredentialSecret
from skerry_operator.link.hub_api import HubApiLink
from skerry_operator.link.port import Downlink
from skerry_operator.link.session import Dialer, HubAddress, HubSession
from skerry_operator.link.traffic import LinkTraffic, Purpose, counted_as, each_counted_as
from tests.unit.link.test_session import BORN, FakeDialer
from tests.unit.store.test_metered import Peer

EVENT = {"type": "MODIFIED", "object": {"metadata": {"name": "current"}}}


def answer(body, status=200):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(data),
        data,
    )


def chunked(*events):
    """As API servers send a watch."""
    lines = [json.dumps(event).encode() + b"\n" for event in events]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in (*lines, b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks


def counted(registry):
    return {
        purpose: tuple(
            int(registry.get_sample_value("skerry_link_bytes_total", {"direction": direction, "purpose": purpose}))
            for direction in ("sent", "received")
        )
        for purpose in Purpose
    }


def hub_behind(peer):
    registry = CollectorRegistry()
    configuration = Configuration()
    configuration.host, configuration.proxy = f"http://127.0.0.1:{peer.port}", None
    return RestKube(configuration, LinkTraffic(registry)), registry


@pytest.mark.parametrize(
    ("call", "answers", "purpose"),
    [
        (lambda link: link.latest(), [answer({"kind": "Status"}, 404)], Purpose.ASSIGNMENT),
        (lambda link: link.upload_grant(), [answer({"data": {"grant.json": "e30="}})], Purpose.GRANT),
        (lambda link: link.report(SiteAssignmentStatus()), [answer({})], Purpose.REPORT),
        (lambda link: link.report(SiteAssignmentStatus()), [answer({"kind": "Status"}, 404)], Purpose.REPORT),
        (
            lambda link: list(link.watch(Downlink.ASSIGNMENT)),
            [answer(b"\n".join([json.dumps(EVENT).encode()] * 3) + b"\n")],
            Purpose.ASSIGNMENT,
        ),
        (lambda link: list(link.watch(Downlink.GRANT)), [answer(b"")], Purpose.GRANT),
        (lambda link: list(link.watch(Downlink.GRANT)), [chunked(EVENT, EVENT)], Purpose.GRANT),
    ],
)
def test_each_call_counts_both_ways_for_its_purpose(call, answers, purpose):
    peer = Peer(*answers)
    hub, registry = hub_behind(peer)
    with suppress(WaitError):  # that the hub has no assignment to report to
        call(HubApiLink(hub, "site-a", watch_seconds=(1.0, 1.0)))
    expected = dict.fromkeys(Purpose, (0, 0)) | {purpose: (peer.got, peer.gave)}
    assert counted(registry) == expected
    assert min(expected[purpose]) > 0


def test_asking_for_a_certificate_is_enrollment():
    peer = Peer(answer({"kind": "Status"}, 404), answer({"metadata": {}}))
    hub, registry = hub_behind(peer)
    session = HubSession("site-a", CredentialSecret(MemoryKube(), "skerry-system"), FakeDialer(hub))
    with pytest.raises(WaitError, match="waiting for the hub"):
        session.maintain(BORN)
    assert counted(registry) == dict.fromkeys(Purpose, (0, 0)) | {Purpose.ENROLLMENT: (peer.got, peer.gave)}


def test_what_is_asked_between_events_counts_as_its_own():
    registry = CollectorRegistry()
    traffic = LinkTraffic(registry)

    def events():
        for _ in range(3):
            traffic.received(10)
            yield

    for _ in each_counted_as(Purpose.ASSIGNMENT, events()):
        traffic.received(1)
        with counted_as(Purpose.GRANT):
            traffic.received(100)
    found = {purpose: received for purpose, (_, received) in counted(registry).items() if received}
    assert found == {Purpose.ASSIGNMENT: 30, Purpose.OTHER: 3, Purpose.GRANT: 300}


def test_connections_by_the_bootstrap_token_are_counted(tmp_path):
    peer = Peer(answer({"kind": "Status"}, 404))
    registry = CollectorRegistry()
    address = HubAddress(f"http://127.0.0.1:{peer.port}", tmp_path / "ca", tmp_path / "token", tmp_path)
    hub = Dialer(address, LinkTraffic(registry)).by_token("abcdef.0123456789abcdef")
    hub.get(SITE_ASSIGNMENTS, "current", "skerry-site-a")
    assert counted(registry)[Purpose.OTHER] == (peer.got, peer.gave)
