import pytest

from skerry_core.assignment.document import PAYLOAD_TYPE as ASSIGNMENT_TYPE
from skerry_core.canonical import canonical_json
from skerry_core.trust import dsse
from skerry_core.trust.assignment import seal_assignment
from skerry_core.trust.errors import Refusal, TrustError
from skerry_core.trust.policy import PAYLOAD_TYPE, DenyList, SignerIdentity
from skerry_core.trust.policy_envelope import MAX_ENVELOPE_BYTES, open_policy, seal_policy
from tests.unit.trust.documents import assignment, policy

ISSUER = "https://issuer.test"


def opened(envelope, key, last=None):
    try:
        return open_policy(envelope, key.public_pem, last_serial=last)
    except TrustError as error:
        return error.reason


def test_what_was_sealed_is_what_is_opened(keys):
    document = policy(ISSUER, minimum="1.0.0", deny=DenyList(digests=("sha256:" + "b" * 64,)))
    envelope = seal_policy(document, keys.private_pem)
    assert opened(envelope, keys) == document
    assert opened(envelope.encode(), keys) == document


def test_a_policy_signed_by_another_key_is_refused(keys, stranger):
    assert opened(seal_policy(policy(ISSUER), stranger.private_pem), keys) == Refusal.ENVELOPE_INVALID


@pytest.mark.parametrize(("serial", "last", "accepted"), [(1, None, True), (4, 4, True), (5, 4, True), (3, 4, False)])
def test_serials_never_go_back(keys, serial, last, accepted):
    document = policy(ISSUER, serial=serial)
    assert opened(seal_policy(document, keys.private_pem), keys, last) == (
        document if accepted else Refusal.SERIAL_OLDER
    )


def test_an_assignment_is_not_a_policy(keys):
    assert opened(seal_assignment(assignment(), keys.private_pem), keys) == Refusal.ENVELOPE_INVALID
    mislabelled = dsse.sign(
        canonical_json(policy(ISSUER)), payload_type=ASSIGNMENT_TYPE, private_key_pem=keys.private_pem
    )
    assert opened(mislabelled, keys) == Refusal.ENVELOPE_INVALID


def test_a_policy_that_is_too_large_is_neither_sealed_nor_opened(keys):
    many = tuple(SignerIdentity(subject="s" * 500, issuer=f"https://{n}.test") for n in range(200))
    large = policy(ISSUER, deny=DenyList(identities=many))
    with pytest.raises(TrustError) as caught:
        seal_policy(large, keys.private_pem)
    assert caught.value.reason == Refusal.ENVELOPE_TOO_LARGE
    forced = dsse.sign(canonical_json(large), payload_type=PAYLOAD_TYPE, private_key_pem=keys.private_pem)
    assert len(forced) > MAX_ENVELOPE_BYTES
    assert opened(forced, keys) == Refusal.ENVELOPE_INVALID


@pytest.mark.parametrize("payload", [b"", b"null", b'{"serial":0}', b'{"serial":1,"issuedAt":"yesterday"}'])
def test_a_signed_but_malformed_policy_is_refused(keys, payload):
    envelope = dsse.sign(payload, payload_type=PAYLOAD_TYPE, private_key_pem=keys.private_pem)
    assert opened(envelope, keys) == Refusal.ENVELOPE_INVALID
