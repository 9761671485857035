"""Whatever is done to valid bytes: a TrustError, or the very same result."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry_core.trust.assignment import open_assignment, seal_assignment
from skerry_core.trust.errors import Refusal, TrustError
from skerry_core.trust.keys import generate_key_pair
from skerry_core.trust.policy_envelope import open_policy, seal_policy
from tests.unit.trust.documents import MODEL, NAMESPACE, VERSION, assignment, policy

# The fixtures are of the session and never change, so sharing them between examples is sound.
HOSTILE = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KEYS = generate_key_pair()


@st.composite
def mutations(draw):
    """A function that damages bytes: replaces, inserts, deletes or repeats a piece at any position."""
    at = draw(st.floats(0, 1, exclude_max=True))
    piece = draw(st.binary(min_size=0, max_size=8))
    removed = draw(st.integers(0, 40))

    def damage(data: bytes) -> bytes:
        position = int(at * len(data))
        return data[:position] + piece + data[position + removed :]

    return damage


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def paths(document, prefix=()):
    """Every place in a JSON document."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield (*prefix, key)
        yield from paths(value, (*prefix, key))


@pytest.fixture
def outcome(sigstore, verifier, manifest):
    def run(signature, offered=manifest):
        try:
            return verifier.verify(
                offered,
                signature,
                namespace=NAMESPACE,
                model=MODEL,
                version=VERSION,
                policy=policy(sigstore.issuer),
            )
        except TrustError as error:
            return error.reason

    return run


@pytest.mark.slow
@HOSTILE
@given(damage=mutations())
def test_damaged_signature(outcome, signature, damage):
    assert outcome(damage(signature)) in (outcome(signature), Refusal.SIGNATURE_INVALID)


@pytest.mark.slow
@HOSTILE
@given(data=st.data(), value=JSON_VALUES)
def test_signature_with_any_part_replaced(outcome, signature, data, value):
    document = json.loads(signature)
    *way, last = data.draw(st.sampled_from(list(paths(document))))
    part = document
    for step in way:
        part = part[step]
    part[last] = value
    assert outcome(json.dumps(document).encode()) in (outcome(signature), Refusal.SIGNATURE_INVALID)


@HOSTILE
@given(data=st.data())
def test_signature_with_any_part_missing(outcome, signature, data):
    document = json.loads(signature)
    *way, last = data.draw(st.sampled_from(list(paths(document))))
    part = document
    for step in way:
        part = part[step]
    del part[last]
    assert outcome(json.dumps(document).encode()) in (outcome(signature), Refusal.SIGNATURE_INVALID)


@pytest.mark.slow
@HOSTILE
@given(data=st.data(), damage=mutations())
def test_certificate_damaged_in_its_encoding(outcome, signature, data, damage):
    document = json.loads(signature)
    certificate = document["verificationMaterial"]["certificate"]
    certificate["rawBytes"] = base64.b64encode(damage(base64.b64decode(certificate["rawBytes"]))).decode()
    assert outcome(json.dumps(document).encode()) in (outcome(signature), Refusal.SIGNATURE_INVALID)


@HOSTILE
@given(damage=mutations())
def test_damaged_manifest(outcome, signature, manifest, damage):
    damaged = damage(manifest)
    expected = outcome(signature) if damaged == manifest else Refusal.SIGNATURE_INVALID
    assert outcome(signature, damaged) == expected


ENVELOPE = seal_assignment(assignment(), KEYS.private_pem).encode()
POLICY = seal_policy(policy("https://issuer.test"), KEYS.private_pem).encode()


@HOSTILE
@given(damage=mutations())
def test_damaged_assignment(damage):
    def outcome(envelope):
        try:
            return open_assignment(envelope, KEYS.public_pem, site="site-a", last=None)
        except TrustError as error:
            return error.reason

    assert outcome(damage(ENVELOPE)) in (assignment(), Refusal.ENVELOPE_INVALID)


@HOSTILE
@given(damage=mutations())
def test_damaged_policy(damage):
    def outcome(envelope):
        try:
            return open_policy(envelope, KEYS.public_pem, last_serial=None)
        except TrustError as error:
            return error.reason

    assert outcome(damage(POLICY)) in (policy("https://issuer.test"), Refusal.ENVELOPE_INVALID)


@HOSTILE
@given(noise=st.binary(max_size=200))
def test_random_bytes(outcome, noise):
    assert outcome(noise) == Refusal.SIGNATURE_INVALID
    with pytest.raises(TrustError):
        open_assignment(noise, KEYS.public_pem, site="site-a", last=None)
