"""The link against a real API server: certificates by CSR, RBAC of one namespace, the port's conformance suite."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.siteassignment import SiteAssignmentStatus
from skerry_core.errors import WaitError
from skerry_operator.kube.errors import UNAUTHORIZED, ForbiddenError, UnavailableError
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import SECRETS, SITE_ASSIGNMENTS
from skerry_operator.link.credential import CredentialSecret
from skerry_operator.link.enroll import request_certificate, signing_request
from skerry_operator.link.hub_api import HubApiLink, hub_namespace
from skerry_operator.link.session import Dialer, HubAddress, HubSession
from skerry_operator.link.traffic import LinkTraffic
from tests.cluster.lab.waiting import wait_for
from tests.unit.link.certificates import issue
from tests.unit.link.conformance import LinkConformance, spec

pytestmark = pytest.mark.lab


@pytest.fixture
def address(hub_ready, tmp_path) -> HubAddress:
    ca, token = tmp_path / "ca.crt", tmp_path / "token"
    ca.write_text(hub_ready.ca_pem)
    return HubAddress(hub_ready.api_url, ca, token, tmp_path)


@pytest.fixture
def secret() -> CredentialSecret:
    return CredentialSecret(MemoryKube(), "skerry-system")


@pytest.fixture
def session(hub_side, address, secret) -> HubSession:
    address.token_file.write_text(hub_side.bootstrap_token())
    return HubSession(hub_side.site, secret, Dialer(address, LinkTraffic(CollectorRegistry())), _short_watches)


def _short_watches(hub, site):
    return HubApiLink(hub, site, watch_seconds=(1.0, 1.0))


def enroll(session, hub_side):
    with pytest.raises(WaitError) as caught:
        session.maintain(datetime.now(UTC))
    assert caught.value.reason == "SiteNotAccepted"
    hub_side.approve()
    wait_for("the certificate is issued", lambda: _enrolled(session), seconds=20)


def _enrolled(session, *, refused=False) -> bool:
    try:
        session.maintain(datetime.now(UTC), refused=refused)
    except WaitError:
        return False
    return True


class TestHubApiLink(LinkConformance):
    @pytest.fixture
    def hub_end(self, hub_side):
        return hub_side

    @pytest.fixture
    def link(self, session, hub_side):
        enroll(session, hub_side)
        return session.link()


def test_the_certificate_is_good_for_the_sites_own_namespace_only(session, hub_side):
    enroll(session, hub_side)
    hub_side.offer(spec(1))
    own = session._hub
    assert own.get(SITE_ASSIGNMENTS, "current", hub_side.namespace)["spec"]["envelope"] == "envelope 1"
    for foreign in (hub_namespace("site-b"), "kube-system"):
        with pytest.raises(ForbiddenError):
            own.get(SECRETS, "store-grant", foreign)
        with pytest.raises(ForbiddenError):
            own.get(SITE_ASSIGNMENTS, "current", foreign)
    with pytest.raises(ForbiddenError):
        own.list(SECRETS, hub_side.namespace)
    metadata = {"name": "current", "namespace": hub_side.namespace}
    with pytest.raises(ForbiddenError):
        own.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "spec": spec(2).to_wire()})


def test_a_site_renews_with_its_certificate_after_the_token_is_gone(session, secret, address, hub_side):
    enroll(session, hub_side)
    first = secret.load()
    address.token_file.unlink()
    due = first.validity.renew_at + timedelta(minutes=1)
    with pytest.raises(WaitError) as caught:
        session.maintain(due)
    assert caught.value.reason == "SiteNotAccepted"
    hub_side.approve()

    def renewed() -> bool:
        try:
            session.maintain(due)
        except WaitError:
            return False
        return secret.load().certificate != first.certificate

    wait_for("the next certificate", renewed, seconds=20)
    hub_side.offer(spec(1))
    session.link().report(SiteAssignmentStatus(nodes=1))
    assert hub_side.reported().nodes == 1


def test_a_certificate_by_a_ca_that_the_hub_no_longer_has_is_replaced_by_token(session, secret, address, hub_side):
    enroll(session, hub_side)
    good = secret.load()
    request = signing_request(hub_side.site, good.key)
    secret.save(replace(good, certificate=issue(request, datetime.now(UTC) - timedelta(days=1), timedelta(days=90))))
    _enrolled(session)
    with pytest.raises(ForbiddenError) as caught:
        session.link().latest()
    assert caught.value.reason == UNAUTHORIZED
    with pytest.raises(WaitError) as waiting:
        session.maintain(datetime.now(UTC), refused=True)
    assert waiting.value.reason == "SiteNotAccepted"
    hub_side.approve()
    wait_for("the next certificate", lambda: _enrolled(session, refused=True), seconds=20)
    hub_side.offer(spec(1))
    assert session.link().latest() is not None


def test_a_wrong_token_is_told_as_such(address, hub_side):
    dialer = Dialer(address, LinkTraffic(CollectorRegistry()))
    credential = CredentialSecret(MemoryKube(), "x").load().with_next_key()
    with pytest.raises(ForbiddenError) as caught:
        request_certificate(dialer.by_token("aaaaaa.bbbbbbbbbbbbbbbb"), site=hub_side.site, key_pem=credential.next_key)
    assert caught.value.reason == "Unauthorized"


def test_a_hub_that_is_not_there_is_unavailable_at_once(address, tmp_path):
    nowhere = HubAddress("https://127.0.0.1:1", address.ca_file, Path(tmp_path / "none"), tmp_path)
    credential = CredentialSecret(MemoryKube(), "x").load().with_next_key()
    with pytest.raises(UnavailableError):
        request_certificate(
            Dialer(nowhere, LinkTraffic(CollectorRegistry())).by_token("t"), site="site-a", key_pem=credential.next_key
        )
