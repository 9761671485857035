"""Decides whether a release may be loaded: bytes in, a verified release or a TrustError out. No I/O, no clock."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from sigstore.errors import VerificationError
from sigstore.models import Bundle

from skerry_core import digest as digests
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES, Manifest
from skerry_core.bundle.statement import PAYLOAD_TYPE, check_statement
from skerry_core.canonical import parse_canonical
from skerry_core.trust.certificate import IdentityReader
from skerry_core.trust.errors import Refusal, TrustError, refusing
from skerry_core.trust.identity import check_release, check_signer
from skerry_core.trust.policy import PolicyDocument, SignerIdentity
from skerry_core.trust.root import PinnedRoot


@dataclass(frozen=True)
class VerifiedRelease:
    """A release that passed every step: its manifest and digest, who signed it, and when by the log's signed clock."""

    manifest: Manifest
    digest: str
    identity: SignerIdentity
    signed_at: datetime


class ReleaseVerifier:
    """Verifies releases against one pinned Sigstore trusted root, offline. Threads may share it."""

    def __init__(self, trusted_root: bytes) -> None:
        """Read a trusted root in Sigstore's JSON; TrustError `TrustedRootInvalid` if it can't serve as one."""
        self._root = PinnedRoot(trusted_root)

    def verify(
        self, manifest: bytes, signature: bytes, *, namespace: str, model: str, version: str, policy: PolicyDocument
    ) -> VerifiedRelease:
        """Verify a manifest's bytes and the sigstore bundle over them, as release `version` of `namespace/model`.

        Raises TrustError with the reason of the first step that fails. Takes about 2 ms.
        """
        # (0) Bound what is parsed.
        if len(manifest) > MAX_MANIFEST_BYTES:
            raise TrustError(
                Refusal.MANIFEST_MALFORMED, f"the manifest has {len(manifest)} bytes, allowed are {MAX_MANIFEST_BYTES}"
            )
        if not 0 < len(signature) <= MAX_SIGNATURE_BYTES:
            raise TrustError(
                Refusal.SIGNATURE_INVALID,
                f"the signature has {len(signature)} bytes, allowed are 1 to {MAX_SIGNATURE_BYTES}",
            )
        # (1) What no signature could save: a denied digest, a model without signers, a version below the minimum.
        digest = digests.of_bytes(manifest)
        check_release(policy, namespace=namespace, model=model, version=version, digest=digest)
        # (2)-(4) The signature itself.
        statement, identity, signed_at = self._verify_bundle(signature)
        # (5) What was signed is this manifest, under this name.
        check_statement(statement, manifest, model=model, version=version)
        # (6) Who signed it may.
        check_signer(policy, namespace=namespace, model=model, signer=identity)
        # (7) The manifest reads, in one way only, and says the same name.
        with refusing(Refusal.MANIFEST_MALFORMED, "the manifest is signed, but malformed"):
            parsed = Manifest.model_validate(parse_canonical(manifest))
        if (parsed.model, parsed.version) != (model, version):
            raise TrustError(
                Refusal.MANIFEST_MISMATCH,
                f"the manifest is of {parsed.model}@{parsed.version}, and was offered as {model}@{version}",
            )
        return VerifiedRelease(parsed, digest, identity, signed_at)

    def _verify_bundle(self, signature: bytes) -> tuple[bytes, SignerIdentity, datetime]:
        """Steps (2) to (4): the signed statement, the signer, and the time that the log signed."""
        reader = IdentityReader()
        with refusing(Refusal.SIGNATURE_INVALID, "the signature can't be verified"):
            # (2) Parse the bundle, and read the time at which it says it was logged.
            bundle = Bundle.from_json(signature)
            signed_at = _logged_at(bundle)
            # (3) Let sigstore verify certificate chain, SCT, inclusion proof, checkpoint, signed entry timestamp and
            #     signature with the keys that were valid at that time. When it passes, the time has been proven too:
            #     the log's signed entry timestamp covers it, and the certificate was valid then.
            payload_type, payload = self._root.verifier_at(signed_at).verify_dsse(bundle, reader)
            # (4) Only an in-toto statement means what step (5) takes it to mean.
            if payload_type != PAYLOAD_TYPE:
                raise VerificationError(f"the bundle holds {payload_type!r}, not {PAYLOAD_TYPE!r}")
            if reader.identity is None:
                raise VerificationError("sigstore did not ask who signed")
        return payload, reader.identity, signed_at


def _logged_at(bundle: Bundle) -> datetime:
    """The entry's integrated time, UTC; not proven before sigstore has verified the bundle.

    The log must have promised inclusion (a signed entry timestamp), because nothing else signs this time.
    """
    entry = json.loads(bundle.to_json())["verificationMaterial"]["tlogEntries"][0]
    seconds = int(entry.get("integratedTime", 0))
    if not seconds or "inclusionPromise" not in entry:
        raise VerificationError("the bundle has no signed entry timestamp; sign with a Rekor v1 log")
    return datetime.fromtimestamp(seconds, UTC)
