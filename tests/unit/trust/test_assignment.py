import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_core.assignment.document import MAX_PAYLOAD_BYTES, PAYLOAD_TYPE
from skerry_core.canonical import canonical_json
from skerry_core.trust import dsse
from skerry_core.trust.assignment import MAX_ENVELOPE_BYTES, open_assignment, seal_assignment
from skerry_core.trust.errors import Refusal, TrustError
from skerry_core.trust.keys import generate_key_pair
from skerry_core.trust.policy_envelope import seal_policy
from tests.unit.trust.documents import assignment, model_assignment, policy

KEYS = generate_key_pair()


def opened(envelope, *, site="site-a", last=None, key=KEYS.public_pem):
    try:
        return open_assignment(envelope, key, site=site, last=last)
    except TrustError as error:
        return error.reason


def test_what_was_sealed_is_what_is_opened():
    document = assignment()
    assert opened(seal_assignment(document, KEYS.private_pem)) == document


def test_an_assignment_for_another_site_is_refused():
    assert opened(seal_assignment(assignment("site-b"), KEYS.private_pem)) == Refusal.WRONG_SITE


def test_an_assignment_signed_by_another_key_is_refused(stranger):
    assert opened(seal_assignment(assignment(), stranger.private_pem)) == Refusal.ENVELOPE_INVALID


@pytest.mark.parametrize(
    ("serial", "last", "accepted"),
    [
        ((1, 1), None, True),
        ((1, 5), (1, 5), True),
        ((1, 6), (1, 5), True),
        ((1, 4), (1, 5), False),
        ((2, 0), (1, 5), True),
        ((2, 0), (2, 1), False),
        ((1, 9), (2, 0), False),
        ((0, 9), (1, 0), False),
    ],
)
def test_serials_never_go_back(serial, last, accepted):
    last_serial = None if last is None else Serial(incarnation=last[0], n=last[1])
    result = opened(seal_assignment(assignment(serial=serial), KEYS.private_pem), last=last_serial)
    assert result == (assignment(serial=serial) if accepted else Refusal.SERIAL_OLDER)


PAIRS = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(deadline=None)
@given(PAIRS, PAIRS)
def test_serials_are_ordered_by_incarnation_first(serial, last):
    result = opened(
        seal_assignment(assignment(serial=serial), KEYS.private_pem), last=Serial(incarnation=last[0], n=last[1])
    )
    assert (result != Refusal.SERIAL_OLDER) == (serial >= last)


def test_a_policy_is_not_an_assignment():
    envelope = seal_policy(policy("https://issuer.test"), KEYS.private_pem)
    assert opened(envelope) == Refusal.ENVELOPE_INVALID


def test_a_policy_relabelled_as_an_assignment_is_refused():
    document = json.loads(seal_policy(policy("https://issuer.test"), KEYS.private_pem))
    document["payloadType"] = PAYLOAD_TYPE
    assert opened(json.dumps(document)) == Refusal.ENVELOPE_INVALID


def test_an_assignment_that_is_too_large_is_neither_sealed_nor_opened():
    large = assignment(models=tuple(model_assignment(f"model-{n}") for n in range(64)))
    with pytest.raises(TrustError) as caught:
        seal_assignment(large, KEYS.private_pem)
    assert caught.value.reason == Refusal.ENVELOPE_TOO_LARGE
    payload = canonical_json(large)
    assert len(payload) > MAX_PAYLOAD_BYTES
    forced = dsse.sign(payload, payload_type=PAYLOAD_TYPE, private_key_pem=KEYS.private_pem)
    assert opened(forced) == Refusal.ENVELOPE_INVALID


def test_the_largest_assignment_fits_its_envelope():
    room = MAX_PAYLOAD_BYTES - len(canonical_json(assignment()))
    document = assignment()
    full = document.model_copy(
        update={"runtime": document.runtime.model_copy(update={"image": document.runtime.image + "x" * room})}
    )
    envelope = seal_assignment(full, KEYS.private_pem)
    assert len(canonical_json(full)) == MAX_PAYLOAD_BYTES
    assert len(envelope) <= MAX_ENVELOPE_BYTES
    assert opened(envelope) == full


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        canonical_json(assignment()).replace(b'"5s"', b'"' + b"9" * 400 + b'h"'),
        canonical_json(assignment()).replace(b'"site-a"', b'"\\ud800"'),
        b"[" * 8000,
    ],
    ids=["empty", "list", "no fields", "endless duration", "lone surrogate", "nested"],
)
def test_a_thief_of_the_hub_key_gets_no_more_than_a_refusal(payload):
    envelope = dsse.sign(payload, payload_type=PAYLOAD_TYPE, private_key_pem=KEYS.private_pem)
    assert opened(envelope) == Refusal.ENVELOPE_INVALID
