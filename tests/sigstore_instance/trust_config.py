"""What clients need to know of the instance, in Sigstore's own JSON formats."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.sigstore_instance.authority import Authority, key_id, spki


def trusted_root(authority: Authority, log_key: ec.EllipticCurvePrivateKey, *, name: str) -> dict[str, Any]:
    """The keys to verify with; it names no port, so a restarted instance has the same one."""
    period = {"start": authority.certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")}
    certificate = authority.certificate.public_bytes(Encoding.DER)
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [_log(log_key.public_key(), f"https://rekor.{name}", period)],
        "certificateAuthorities": [
            {
                "subject": {"organization": name, "commonName": name},
                "uri": f"https://fulcio.{name}",
                "certChain": {"certificates": [{"rawBytes": _base64(certificate)}]},
                "validFor": period,
            }
        ],
        "ctlogs": [_log(authority.ct_key.public_key(), f"https://ctfe.{name}", period)],
        "timestampAuthorities": [],
    }


def client_trust_config(root: dict[str, Any], *, base_url: str, issuer: str) -> bytes:
    """Trusted root and the addresses to sign at, as ClientTrustConfig JSON."""

    def service(url: str) -> list[dict[str, Any]]:
        start = root["certificateAuthorities"][0]["validFor"]
        return [{"url": url, "majorApiVersion": 1, "validFor": start, "operator": "test"}]

    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": root,
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": service(base_url),
                "oidcUrls": service(issuer),
                "rekorTlogUrls": service(base_url),
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [],
            },
        },
        indent=1,
    ).encode()


def _log(key: ec.EllipticCurvePublicKey, url: str, period: dict[str, str]) -> dict[str, Any]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _base64(spki(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": period,
        },
        "logId": {"keyId": _base64(key_id(key))},
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
