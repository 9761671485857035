import json
from datetime import UTC, datetime, timedelta

import pytest
import sigstore._utils
from sigstore._internal.tuf import DEFAULT_TUF_URL

from skerry_core.trust.errors import Refusal, TrustError
from skerry_core.trust.root import MAX_TRUSTED_ROOT_BYTES
from skerry_core.trust.verifier import ReleaseVerifier
from tests.unit.trust.documents import MODEL, NAMESPACE, VERSION, policy

MEDIA_TYPE = b"application/vnd.dev.sigstore.trustedroot+json;version=0.1"


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def with_period(trusted_root, part, *, start=None, end=None):
    """The same root, with one entry's validity period changed."""
    root = json.loads(trusted_root)
    entry = root[part][0]
    period = (entry if part == "certificateAuthorities" else entry["publicKey"])["validFor"]
    if start is not None:
        period["start"] = stamp(start)
    if end is not None:
        period["end"] = stamp(end)
    return json.dumps(root).encode()


@pytest.fixture
def verify(sigstore, manifest, signature):
    def run(trusted_root):
        return ReleaseVerifier(trusted_root).verify(
            manifest,
            signature,
            namespace=NAMESPACE,
            model=MODEL,
            version=VERSION,
            policy=policy(sigstore.issuer),
        )

    return run


@pytest.mark.parametrize("year", [1970, 2020, 2100])
def test_the_machines_clock_decides_nothing(sigstore, verify, monkeypatch, year):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(year, 1, 1, tzinfo=tz)

    monkeypatch.setattr(sigstore_clock := sigstore_utils(), "datetime", Clock)
    assert sigstore_clock.datetime.now(UTC).year == year
    assert verify(sigstore.trusted_root_json).manifest.version == VERSION


def sigstore_utils():
    """The module in which sigstore compares validity periods with the clock (the fixture hides the package's name)."""
    return sigstore._utils


@pytest.mark.parametrize("part", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_a_key_counts_only_for_what_was_logged_while_it_was_valid(sigstore, verify, part):
    root = sigstore.trusted_root_json
    signed_at = verify(root).signed_at
    day = timedelta(days=1)
    assert verify(with_period(root, part, start=signed_at, end=signed_at))
    for outside in ({"end": signed_at - day / 2}, {"start": signed_at + day}):
        with pytest.raises(TrustError) as caught:
            verify(with_period(root, part, **outside))
        assert caught.value.reason == Refusal.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "root",
    [
        b"",
        b"{}",
        b"not JSON",
        b" " * (MAX_TRUSTED_ROOT_BYTES + 1),
        b'{"mediaType":"%s","tlogs":[],"certificateAuthorities":[],"ctlogs":[]}' % MEDIA_TYPE,
    ],
    ids=["empty", "no fields", "not JSON", "large", "no keys"],
)
def test_a_root_that_cannot_serve_is_refused_at_once(root):
    with pytest.raises(TrustError) as caught:
        ReleaseVerifier(root)
    assert caught.value.reason == Refusal.TRUSTED_ROOT_INVALID


def test_the_public_instances_root_is_read_and_does_not_trust_the_test_instance(verify):
    with pytest.raises(TrustError) as caught:
        verify(sigstore_utils().read_embedded("trusted_root.json", DEFAULT_TUF_URL))
    assert caught.value.reason == Refusal.SIGNATURE_INVALID


def test_a_root_with_a_period_without_time_zone_is_refused(sigstore):
    root = json.loads(sigstore.trusted_root_json)
    root["tlogs"][0]["publicKey"]["validFor"]["start"] = "2026-01-01T00:00:00"
    with pytest.raises(TrustError, match="time zone"):
        ReleaseVerifier(json.dumps(root).encode())
