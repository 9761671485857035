import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from skerry_core.trust import dsse, keys
from skerry_core.trust.errors import Refusal, TrustError
from skerry_core.trust.keys import KeyPair

TYPE = "application/vnd.skerry.test+json"


def verified(envelope, key: KeyPair, payload_type=TYPE, max_bytes=10_000):
    try:
        return dsse.verify(envelope, payload_type=payload_type, public_key_pem=key.public_pem, max_bytes=max_bytes)
    except TrustError as error:
        return error.reason


@pytest.mark.parametrize("payload", [b"", b"hello world", bytes(range(256))])
def test_a_payload_comes_back(keys, payload):
    assert verified(dsse.sign(payload, payload_type=TYPE, private_key_pem=keys.private_pem), keys) == payload


def test_the_encoding_is_the_one_of_the_specification():
    assert dsse.pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert dsse.pre_authentication_encoding("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_another_implementation_verifies_our_envelopes(keys):
    envelope = dsse.sign(b"{}", payload_type=TYPE, private_key_pem=keys.private_pem)
    document = json.loads(envelope)
    key = SSlibKey.from_crypto(_public(keys), document["signatures"][0]["keyid"])
    theirs = Envelope.from_dict(
        {**document, "signatures": [{**s, "keyid": s["keyid"]} for s in document["signatures"]]}
    )
    assert list(theirs.verify([key], threshold=1)) == [key.keyid]


def test_one_of_several_signatures_is_enough_and_keyids_decide_nothing(keys, stranger):
    mine, other = (
        json.loads(dsse.sign(b"x", payload_type=TYPE, private_key_pem=key.private_pem)) for key in (keys, stranger)
    )
    (signature,) = mine["signatures"]
    both = {**mine, "signatures": [*other["signatures"], {"sig": signature["sig"], "keyid": "nonsense"}]}
    assert verified(json.dumps(both), keys) == b"x"
    claimed = {**other, "signatures": [{**other["signatures"][0], "keyid": signature["keyid"]}]}
    assert verified(json.dumps(claimed), keys) == Refusal.ENVELOPE_INVALID


@pytest.mark.parametrize(
    "change",
    [
        {"payload": base64.b64encode(b"y").decode()},
        {"payload": "***"},
        {"payload": None},
        {"payloadType": "application/json"},
        {"signatures": []},
        {"signatures": [{"sig": ""}]},
        {"signatures": [{"sig": "MAA="}]},
        {"signatures": [{"sig": "AAAA"}] * 9},
    ],
)
def test_a_changed_envelope_is_refused(keys, change):
    document = json.loads(dsse.sign(b"x", payload_type=TYPE, private_key_pem=keys.private_pem))
    assert verified(json.dumps({**document, **change}), keys) == Refusal.ENVELOPE_INVALID


@pytest.mark.parametrize("envelope", ["", b"", "\ud800", b"\xff\xfe", b"[" * 9000, "null", " " * 10_001])
def test_what_is_no_envelope_is_refused(keys, envelope):
    assert verified(envelope, keys) == Refusal.ENVELOPE_INVALID


def test_a_keyid_is_the_digest_of_the_key(keys):
    loaded = _public(keys)
    assert len(keys_id := dsse.keys.keyid(loaded)) == 64
    assert keys_id == dsse.keys.keyid(dsse.keys.load_private_key(keys.private_pem).public_key())


def _pems():
    p384, rsa_key = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)
    p256 = ec.generate_private_key(ec.SECP256R1())
    encrypted = p256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    public = [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in (p384, rsa_key)]
    return [*public, encrypted, b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]


@pytest.mark.parametrize("pem", _pems(), ids=["P-384", "RSA", "encrypted", "empty", "garbage"])
@pytest.mark.parametrize("load", [keys.load_public_key, keys.load_private_key])
def test_only_unencrypted_p256_keys_load(pem, load):
    with pytest.raises(TrustError) as caught:
        load(pem)
    assert caught.value.reason == Refusal.KEY_INVALID


def _public(pair: KeyPair) -> ec.EllipticCurvePublicKey:
    return keys.load_public_key(pair.public_pem)
