import base64
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skerry_api.v1alpha1.edgesite import EdgeSite, EdgeSiteSpec
from skerry_api.v1alpha1.fields import ObjectMeta
from skerry_operator.hub.enrollment import Verdict, decide, site_of

KEY = ec.generate_private_key(ec.SECP256R1())
BOOTSTRAP = ["system:bootstrappers", "system:bootstrappers:skerry:site-a", "system:authenticated"]


def site(*, accepted: bool = True, name: str = "site-a") -> EdgeSite:
    spec = EdgeSiteSpec(hub_accepts_client=accepted, site_class_name="lab")
    return EdgeSite(metadata=ObjectMeta(name=name), spec=spec)


def request(*names: tuple, extension=None) -> str:
    attributes = [x509.NameAttribute(oid, value) for oid, value in names]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return base64.b64encode(builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)).decode()


ORGANIZATION = (NameOID.ORGANIZATION_NAME, "skerry:sites")
COMMON = (NameOID.COMMON_NAME, "skerry:site:site-a")
GOOD = request(ORGANIZATION, COMMON)


def csr(*, status=None, **spec) -> dict:
    whole = {
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
        "username": "system:bootstrap:abcdef",
        "groups": BOOTSTRAP,
        "request": GOOD,
    } | spec
    return {"metadata": {"name": "request"}, "spec": whole, "status": status or {}}


def test_a_site_with_its_bootstrap_token_is_let_in():
    assert decide(csr(), site()).verdict is Verdict.APPROVE


def test_a_site_renews_as_itself():
    renewal = csr(username="skerry:site:site-a", groups=["skerry:sites", "system:authenticated"])
    assert decide(renewal, site()).verdict is Verdict.APPROVE


@pytest.mark.parametrize("edge_site", [None, site(accepted=False), site(name="site-b")])
def test_a_site_that_is_not_accepted_stays_pending(edge_site):
    assert decide(csr(), edge_site).verdict is Verdict.IGNORE


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"usages": ["client auth", "server auth"]}, "RequestMalformed"),
        ({"usages": ["digital signature", "key encipherment", "client auth"]}, "RequestMalformed"),
        ({"usages": []}, "RequestMalformed"),
        ({"request": request(COMMON)}, "RequestMalformed"),
        ({"request": request((NameOID.ORGANIZATION_NAME, "system:masters"), COMMON)}, "RequestMalformed"),
        ({"request": request(ORGANIZATION, (NameOID.ORGANIZATION_NAME, "system:masters"), COMMON)}, "RequestMalformed"),
        ({"request": request(ORGANIZATION, COMMON, (NameOID.LOCALITY_NAME, "x"))}, "RequestMalformed"),
        (
            {"request": request(ORGANIZATION, COMMON, extension=x509.SubjectAlternativeName([x509.DNSName("hub")]))},
            "RequestMalformed",
        ),
        (
            {
                "request": request(
                    ORGANIZATION,
                    COMMON,
                    extension=x509.SubjectAlternativeName([x509.IPAddress(ip_address("10.0.0.1"))]),
                )
            },
            "RequestMalformed",
        ),
        (
            {
                "request": request(
                    ORGANIZATION, COMMON, extension=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
                )
            },
            "RequestMalformed",
        ),
        ({"groups": ["system:bootstrappers:skerry:site-b"]}, "RequesterMismatch"),
        ({"groups": ["system:bootstrappers"]}, "RequesterMismatch"),
        ({"username": "skerry:site:site-b", "groups": ["skerry:sites"]}, "RequesterMismatch"),
        ({"username": "mallory", "groups": None}, "RequesterMismatch"),
    ],
)
def test_what_no_site_would_ask_is_denied(spec, reason):
    decision = decide(csr(**spec), site())
    assert (decision.verdict, decision.reason) == (Verdict.DENY, reason)
    assert decision.message


@pytest.mark.parametrize(
    "spec",
    [
        {"signerName": "kubernetes.io/kubelet-serving"},
        {"request": request((NameOID.COMMON_NAME, "system:node:worker"))},
        {"request": request(ORGANIZATION, COMMON, (NameOID.COMMON_NAME, "skerry:site:site-b"))},
        {"request": base64.b64encode(b"no request").decode()},
        {"request": "no base64!"},
    ],
)
def test_other_peoples_requests_are_left_to_them(spec):
    assert decide(csr(**spec), site()).verdict is Verdict.IGNORE
    assert site_of(csr(**spec)["spec"]) is None


@pytest.mark.parametrize("kind", ["Approved", "Denied"])
def test_what_is_decided_stays_decided(kind):
    assert decide(csr(status={"conditions": [{"type": kind}]}), site()).verdict is Verdict.IGNORE
