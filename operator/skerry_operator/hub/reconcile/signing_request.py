"""CertificateSigningRequest: let accepted sites in, and note when their certificates run out."""

import base64

from cryptography import x509

from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_operator.hub.enrollment import Verdict, decide, site_of
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.kube.resources import EDGE_SITES, SIGNING_REQUESTS


def reconcile_signing_request(hub: Hub, key: Key) -> float | None:
    """Approve or deny one request, or leave it to others; a site that isn't accepted yet is looked at when it is."""
    csr = hub.inventory.signing_request(key.name)
    if csr is None or (site := site_of(csr["spec"])) is None:
        return None
    if certificate := (csr.get("status") or {}).get("certificate"):
        _note_expiry(hub, site, certificate)
        return None
    decision = decide(csr, hub.inventory.get(EdgeSite, site))
    if decision.verdict is Verdict.IGNORE:
        return None
    condition = {
        "type": "Approved" if decision.verdict is Verdict.APPROVE else "Denied",
        "status": "True",
        "reason": decision.reason,
        "message": decision.message,
    }
    answered = {**csr, "status": {**(csr.get("status") or {}), "conditions": [condition]}}
    hub.inventory.observe(SIGNING_REQUESTS, "MODIFIED", hub.kube.replace(SIGNING_REQUESTS, answered, "approval"))
    return None


def _note_expiry(hub: Hub, site: str, certificate: str) -> None:
    leaf = x509.load_pem_x509_certificate(base64.b64decode(certificate))
    expires = leaf.not_valid_after_utc
    known = hub.credentials.get(site)
    if known is None or expires > known:
        hub.credentials[site] = expires
        hub.enqueue(Key(EDGE_SITES, "", site), 0)
