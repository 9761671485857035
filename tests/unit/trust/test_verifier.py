import json
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sigstore.dsse import Envelope, Statement
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from skerry_core import digest as digests
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES
from skerry_core.bundle.signing import sign_manifest
from skerry_core.bundle.statement import make_statement
from skerry_core.trust.errors import Refusal, TrustError
from skerry_core.trust.policy import DenyList, PolicyDocument, SignerIdentity
from skerry_core.trust.verifier import ReleaseVerifier, VerifiedRelease
from tests.sigstore_instance import PrivateSigstore
from tests.unit.trust.documents import AUTHOR, MODEL, NAMESPACE, VERSION, manifest_bytes, policy


def verify(
    verifier: ReleaseVerifier,
    manifest: bytes,
    signature: bytes,
    under: PolicyDocument,
    *,
    model: str = MODEL,
    version: str = VERSION,
) -> VerifiedRelease:
    return verifier.verify(manifest, signature, namespace=NAMESPACE, model=model, version=version, policy=under)


def sign(sigstore, manifest, *, model=MODEL, version=VERSION, author=AUTHOR):
    return sign_manifest(
        manifest,
        model=model,
        version=version,
        identity_token=sigstore.token(author),
        trust_config=sigstore.trust_config_json,
    )


def sign_statement(sigstore: PrivateSigstore, statement: bytes) -> bytes:
    """Sign a statement that `sign_manifest` would never make."""
    context = SigningContext.from_trust_config(ClientTrustConfig.from_json(sigstore.trust_config_json.decode()))
    with context.signer(IdentityToken(sigstore.token(AUTHOR))) as signer:
        return signer.sign_dsse(Statement(statement)).to_json().encode()


def refusal(*arguments, **keywords) -> str:
    with pytest.raises(TrustError) as caught:
        verify(*arguments, **keywords)
    return caught.value.reason


def test_a_good_release_tells_who_signed_it_and_when(sigstore, verifier, manifest, signature):
    release = verify(verifier, manifest, signature, policy(sigstore.issuer))
    assert release.manifest.version == VERSION
    assert release.digest == digests.of_bytes(manifest)
    assert release.identity == SignerIdentity(subject=AUTHOR, issuer=sigstore.issuer)
    assert abs(datetime.now(UTC) - release.signed_at) < timedelta(minutes=10)


def test_a_workflow_signs_under_its_uri(sigstore, verifier, manifest):
    workflow = "https://ci.example.test/team/har/build.yaml@refs/heads/main"
    signature = sign(sigstore, manifest, author=workflow)
    release = verify(verifier, manifest, signature, policy(sigstore.issuer, author=workflow))
    assert release.identity.subject == workflow


@pytest.mark.parametrize(
    ("under", "reason"),
    [
        ({"author": "mallory@example.test"}, Refusal.SIGNER_NOT_ALLOWED),
        ({"author": AUTHOR.upper()}, Refusal.SIGNER_NOT_ALLOWED),
        ({"issuer": "https://oidc.elsewhere.test"}, Refusal.SIGNER_NOT_ALLOWED),
        ({"models": ("vision-*",)}, Refusal.MODEL_NOT_LISTED),
        ({"minimum": "1.2.1"}, Refusal.VERSION_TOO_OLD),
        ({"minimum": "1.10.0"}, Refusal.VERSION_TOO_OLD),
        ({"deny": DenyList(digests=(digests.of_bytes(manifest_bytes()),))}, Refusal.DIGEST_DENIED),
    ],
)
def test_a_good_signature_is_refused_by_policy(sigstore, verifier, manifest, signature, under, reason):
    assert refusal(verifier, manifest, signature, policy(**{"issuer": sigstore.issuer, **under})) == reason


def test_a_denied_identity_is_refused_though_a_binding_names_it(sigstore, verifier, manifest, signature):
    deny = DenyList(identities=(SignerIdentity(subject=AUTHOR, issuer=sigstore.issuer),))
    assert refusal(verifier, manifest, signature, policy(sigstore.issuer, deny=deny)) == Refusal.IDENTITY_DENIED


@pytest.mark.parametrize("minimum", ["1.2.0", "1.2.0-rc.1", "0.9.9"])
def test_a_version_at_or_above_the_minimum_passes(sigstore, verifier, manifest, signature, minimum):
    assert verify(verifier, manifest, signature, policy(sigstore.issuer, minimum=minimum))


def test_a_changed_manifest_is_refused(sigstore, verifier, signature):
    changed = manifest_bytes(notes="one word more")
    assert refusal(verifier, changed, signature, policy(sigstore.issuer)) == Refusal.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "unsigned",
    [b"", b"{}", b"null", b"[]", b"\x00\xff" * 500, b"[" * 100_000, b'"' + b"a" * 1000, b"{" * MAX_SIGNATURE_BYTES],
    ids=["empty", "object", "null", "list", "random", "nested", "unclosed", "large"],
)
def test_an_unsigned_bundle_is_refused(sigstore, verifier, manifest, unsigned):
    assert refusal(verifier, manifest, unsigned, policy(sigstore.issuer)) == Refusal.SIGNATURE_INVALID


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_a_truncated_bundle_is_refused(sigstore, verifier, manifest, signature, kept):
    truncated = signature[: int(len(signature) * kept)]
    assert refusal(verifier, manifest, truncated, policy(sigstore.issuer)) == Refusal.SIGNATURE_INVALID


def test_sizes_are_bounded_before_anything_is_parsed(sigstore, verifier, manifest, signature):
    under = policy(sigstore.issuer)
    padded = signature + b" " * MAX_SIGNATURE_BYTES
    assert refusal(verifier, manifest, padded, under) == Refusal.SIGNATURE_INVALID
    assert refusal(verifier, b" " * (MAX_MANIFEST_BYTES + 1), signature, under) == Refusal.MANIFEST_MALFORMED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("dsseEnvelope", "signatures", 0, "sig"), "MEUCIQD" + "A" * 88 + "="),
        (("dsseEnvelope", "payload"), "e30="),
        (("dsseEnvelope", "payloadType"), "application/json"),
        (("verificationMaterial", "tlogEntries", 0, "integratedTime"), "1"),
        (("verificationMaterial", "tlogEntries", 0, "integratedTime"), "99999999999999"),
        (("verificationMaterial", "tlogEntries", 0, "inclusionPromise"), None),
        (("verificationMaterial", "tlogEntries", 0, "inclusionProof", "rootHash"), "A" * 43 + "="),
        (("verificationMaterial", "tlogEntries"), []),
        (("verificationMaterial", "certificate"), None),
    ],
)
def test_a_bundle_with_one_part_replaced_is_refused(sigstore, verifier, manifest, signature, path, value):
    document = json.loads(signature)
    part = document
    for step in path[:-1]:
        part = part[step]
    assert part[path[-1]] != value
    part[path[-1]] = value
    tampered = json.dumps(document).encode()
    assert refusal(verifier, manifest, tampered, policy(sigstore.issuer)) == Refusal.SIGNATURE_INVALID


def test_parts_of_two_good_bundles_do_not_mix(sigstore, verifier, manifest, signature):
    mine, other = json.loads(signature), json.loads(sign(sigstore, manifest, author="mallory@example.test"))
    other["verificationMaterial"]["certificate"] = mine["verificationMaterial"]["certificate"]
    mixed = json.dumps(other).encode()
    assert refusal(verifier, manifest, mixed, policy(sigstore.issuer)) == Refusal.SIGNATURE_INVALID


def test_a_good_signature_does_not_count_under_another_name_or_version(sigstore, verifier, manifest, signature):
    under = policy(sigstore.issuer, models=("*",))
    assert refusal(verifier, manifest, signature, under, model="brakes") == Refusal.MANIFEST_MISMATCH
    assert refusal(verifier, manifest, signature, under, version="1.3.0") == Refusal.MANIFEST_MISMATCH


def test_manifest_and_signed_statement_must_name_the_same_release(sigstore, verifier):
    other, mine = manifest_bytes(model="brakes"), manifest_bytes()
    under = policy(sigstore.issuer)
    assert refusal(verifier, other, sign(sigstore, other, model=MODEL), under) == Refusal.MANIFEST_MISMATCH
    assert refusal(verifier, mine, sign(sigstore, mine, model="brakes"), under) == Refusal.MANIFEST_MISMATCH


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"{}",
        manifest_bytes() + b"\n",
        manifest_bytes().replace(b'"model":"har"', b'"model":"brakes","model":"har"'),
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"createdAt":1e999}',
    ],
    ids=["empty", "no fields", "newline", "repeated key", "nested", "infinite"],
)
def test_a_signed_manifest_must_read_in_one_way_only(sigstore, verifier, malformed):
    signature = sign(sigstore, malformed)
    assert refusal(verifier, malformed, signature, policy(sigstore.issuer)) == Refusal.MANIFEST_MALFORMED


def test_another_kind_of_statement_by_the_same_author_is_refused(sigstore, verifier, manifest):
    statement = json.loads(make_statement(manifest, model=MODEL, version=VERSION))
    statement["predicateType"] = "https://slsa.dev/provenance/v1"
    signature = sign_statement(sigstore, json.dumps(statement).encode())
    assert refusal(verifier, manifest, signature, policy(sigstore.issuer)) == Refusal.SIGNATURE_INVALID


def test_a_signed_payload_of_another_type_is_refused(sigstore, verifier, manifest, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Envelope, "_TYPE", "application/vnd.other+json")
        signature = sign(sigstore, manifest)
    with pytest.raises(TrustError, match=r"vnd\.other") as caught:
        verify(verifier, manifest, signature, policy(sigstore.issuer))
    assert caught.value.reason == Refusal.SIGNATURE_INVALID


def test_a_statement_about_two_subjects_is_refused(sigstore, verifier, manifest):
    statement = json.loads(make_statement(manifest, model=MODEL, version=VERSION))
    statement["subject"].append({"name": "other@1.0.0", "digest": {"sha256": "0" * 64}})
    signature = sign_statement(sigstore, json.dumps(statement).encode())
    assert refusal(verifier, manifest, signature, policy(sigstore.issuer)) == Refusal.SIGNATURE_INVALID


def test_another_instance_with_the_same_names_is_not_trusted(sigstore, manifest, signature):
    with PrivateSigstore.start() as other:
        stranger = ReleaseVerifier(other.trusted_root_json)
        assert refusal(stranger, manifest, signature, policy(sigstore.issuer)) == Refusal.SIGNATURE_INVALID


def test_verification_needs_no_network_and_may_run_in_threads(sigstore, manifest, signature, monkeypatch):
    def refuse(*_):
        raise AssertionError("verification opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    verifier = ReleaseVerifier(sigstore.trusted_root_json)
    under = policy(sigstore.issuer)
    with ThreadPoolExecutor(8) as pool:
        releases = list(pool.map(lambda _: verify(verifier, manifest, signature, under), range(64)))
    assert set(map(repr, releases)) == {repr(verify(verifier, manifest, signature, under))}
