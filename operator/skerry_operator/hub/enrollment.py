"""Decides on certificate requests of sites: bytes and facts in, a decision out. No I/O.

Two must agree: whoever holds the site's bootstrap token (the requester is a member of that site's own group, which only
the API server can say), and whoever may set `hubAcceptsClient`. A site that has a certificate renews it as itself.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.x509.oid import NameOID

from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_operator.hub.site_namespace import USER_PREFIX
from skerry_operator.kube.api import JsonObject

SIGNER = "kubernetes.io/kube-apiserver-client"
ORGANIZATION = "skerry:sites"
BOOTSTRAP_GROUP_PREFIX = "system:bootstrappers:skerry:"
_USAGES = {"client auth"}


class Verdict(StrEnum):
    """IGNORE: not ours, or not yet."""

    APPROVE = "approve"
    DENY = "deny"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a request, and why; `reason` and `message` go into its condition."""

    verdict: Verdict
    reason: str = ""
    message: str = ""


_NOT_OURS = Decision(Verdict.IGNORE)


def site_of(spec: JsonObject) -> str | None:
    """The site that a request's subject names; None for requests that are no site's."""
    if spec.get("signerName") != SIGNER:
        return None
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(spec.get("request", ""), validate=True))
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, binascii.Error):
        return None
    common = str(names[0].value) if len(names) == 1 else ""
    return common.removeprefix(USER_PREFIX) if common.startswith(USER_PREFIX) else None


def decide(csr: JsonObject, edge_site: EdgeSite | None) -> Decision:
    """Judge one CertificateSigningRequest; `edge_site` is the site that its subject names, if there is such a one."""
    spec = csr["spec"]
    site = site_of(spec)
    if site is None or (csr.get("status") or {}).get("conditions"):
        return _NOT_OURS
    if wrong := _wrong(spec):
        return Decision(Verdict.DENY, "RequestMalformed", wrong)
    if not _may_ask(site, spec.get("username", ""), spec.get("groups") or ()):
        who = spec.get("username", "")
        message = f"{who} is neither site {site} itself nor a bearer of its bootstrap token"
        return Decision(Verdict.DENY, "RequesterMismatch", message)
    # Not denied: a denial is final, and the owner may still let the site in.
    if edge_site is None or edge_site.metadata.name != site or not edge_site.spec.hub_accepts_client:
        return _NOT_OURS
    return Decision(Verdict.APPROVE, "SiteAccepted", f"EdgeSite {site} has hubAcceptsClient, and the requester matches")


def _wrong(spec: JsonObject) -> str:
    """What a site never asks for; empty if there is nothing of the kind."""
    if set(spec.get("usages") or ()) != _USAGES:
        return "usages must be exactly: client auth"
    request = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
    # site_of has found exactly one common name; whatever else there is must be the one organization.
    others = [(name.oid, name.value) for name in request.subject if name.oid != NameOID.COMMON_NAME]
    if others != [(NameOID.ORGANIZATION_NAME, ORGANIZATION)]:
        return f"the subject must be exactly O={ORGANIZATION} and CN={USER_PREFIX}SITE"
    try:
        extensions = list(request.extensions)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return "the request's extensions can't be read"
    if extensions:
        return "a site's request has no extensions: no alternative names, no key usage"
    if not request.is_signature_valid:
        return "the request isn't signed with its own key"
    return ""


def _may_ask(site: str, username: str, groups: Sequence[str]) -> bool:
    return username == USER_PREFIX + site or BOOTSTRAP_GROUP_PREFIX + site in groups
