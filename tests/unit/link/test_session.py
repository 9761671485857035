from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from skerry_core.errors import UserMustActError, WaitError
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import SECRETS
from skerry_operator.link.credential import CredentialSecret
from skerry_operator.link.enroll import RequestDeniedError, signing_request
from skerry_operator.link.session import HubSession
from tests.unit.link.certificates import SigningHub

BORN = datetime(2026, 1, 1, tzinfo=UTC)


class FakeDialer:
    def __init__(self, hub, token="abcdef.0123456789abcdef"):
        self.hub = hub
        self.token = token
        self.by = []

    def bootstrap_token(self):
        return self.token

    def by_token(self, token):
        self.by.append("token")
        return self.hub

    def by_certificate(self, credential):
        self.by.append("certificate")
        return self.hub


@pytest.fixture
def hub():
    return SigningHub()


@pytest.fixture
def dialer(hub):
    return FakeDialer(hub)


@pytest.fixture
def secret():
    return CredentialSecret(MemoryKube(), "skerry-system")


@pytest.fixture
def session(secret, dialer):
    return HubSession("site-a", secret, dialer)


def enroll(session, hub, now=BORN):
    with pytest.raises(WaitError):
        session.maintain(now)
    hub.approve(born=now)
    session.maintain(now)


def test_the_request_names_the_site_and_holds_a_p256_key(hub, session):
    with pytest.raises(WaitError) as caught:
        session.maintain(BORN)
    assert caught.value.reason == "SiteNotAccepted"
    assert "hubAcceptsClient" in str(caught.value)
    (request,) = hub.requests()
    assert request["spec"]["signerName"] == "kubernetes.io/kube-apiserver-client"
    assert request["spec"]["usages"] == ["client auth"]


def test_the_subject_is_what_the_hub_binds_rights_to(secret):
    key = secret.load().with_next_key().next_key
    request = x509.load_pem_x509_csr(signing_request("site-a", key))
    assert request.subject.rfc4514_string() == "CN=skerry:site:site-a,O=skerry:sites"
    assert isinstance(request.public_key(), ec.EllipticCurvePublicKey)


def test_there_is_no_link_before_approval_and_one_after(hub, session):
    with pytest.raises(WaitError):
        session.maintain(BORN)
    with pytest.raises(WaitError, match="no valid certificate"):
        session.link()
    hub.approve(born=BORN)
    session.maintain(BORN)
    assert session.link() is not None


def test_asking_again_after_a_restart_is_the_same_request(hub, secret, dialer, session):
    for restarted in (session, HubSession("site-a", secret, dialer)):
        with pytest.raises(WaitError):
            restarted.maintain(BORN)
    assert len(hub.requests()) == 1


def test_a_denied_request_is_for_a_person_and_the_next_has_a_new_key(hub, session):
    with pytest.raises(WaitError):
        session.maintain(BORN)
    hub.deny()
    with pytest.raises(RequestDeniedError, match="wrong group"):
        session.maintain(BORN)
    with pytest.raises(WaitError):
        session.maintain(BORN)
    assert len(hub.requests()) == 2


def test_a_certificate_for_another_key_is_not_taken(hub, session):
    with pytest.raises(WaitError):
        session.maintain(BORN)
    hub.approve(key=ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(WaitError) as caught:
        session.maintain(BORN)
    assert caught.value.reason == "CertificateUnusable"


def test_renewal_uses_the_certificate_and_leaves_the_old_one_working_until_it_is_there(hub, secret, dialer, session):
    enroll(session, hub)
    first, working = secret.load().certificate, session.link()
    dialer.by.clear()
    with pytest.raises(WaitError):
        session.maintain(BORN + timedelta(days=61))
    assert session.link() is working
    assert "token" not in dialer.by
    hub.approve(born=BORN + timedelta(days=61))
    session.maintain(BORN + timedelta(days=61))
    assert secret.load().certificate != first
    assert session.link() is not working


def test_after_expiry_the_bootstrap_token_is_used_again(hub, dialer, session):
    enroll(session, hub)
    dialer.by.clear()
    with pytest.raises(WaitError):
        session.maintain(BORN + timedelta(days=91))
    assert dialer.by == ["token"]
    with pytest.raises(WaitError):
        session.link()


def test_after_expiry_without_a_token_a_person_is_told_what_to_do(hub, dialer, session):
    enroll(session, hub)
    dialer.token = ""
    with pytest.raises(UserMustActError) as caught:
        session.maintain(BORN + timedelta(days=91))
    assert caught.value.reason == "CertificateExpired"


def test_a_refused_certificate_is_offered_on_until_the_token_has_brought_another(hub, secret, dialer, session):
    enroll(session, hub)
    first, refused = secret.load().certificate, session.link()
    dialer.by.clear()
    with pytest.raises(WaitError):
        session.maintain(BORN, refused=True)
    assert dialer.by == ["token"]
    assert session.link() is refused
    hub.approve(born=BORN)
    session.maintain(BORN, refused=True)
    assert secret.load().certificate != first
    assert session.link() is not refused
    assert len(hub.requests()) == 2


def test_a_refused_certificate_without_a_token_is_for_a_person_and_is_offered_on(hub, dialer, session):
    enroll(session, hub)
    dialer.token = ""
    with pytest.raises(UserMustActError, match="bootstrap token") as caught:
        session.maintain(BORN, refused=True)
    assert caught.value.reason == "CertificateRefused"
    assert session.link() is not None


def test_the_credential_survives_in_its_secret(hub, secret, dialer, session):
    enroll(session, hub)
    kept = secret._kube.get(SECRETS, "hub-credential", "skerry-system")
    assert kept["type"] == "Opaque"
    restarted = HubSession("site-a", secret, dialer)
    restarted.maintain(BORN)
    assert len(hub.requests()) == 1
    assert restarted.link() is not None
