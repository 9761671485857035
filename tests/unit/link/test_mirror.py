import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_api.v1alpha1.siteassignment import Serial, SiteAssignmentSpec
from skerry_core.assignment.spec import spec_of
from skerry_core.trust.assignment import seal_assignment
from skerry_core.trust.errors import TrustError
from skerry_core.trust.keys import generate_key_pair
from skerry_operator.link.mirror import accept, known_serial
from tests.unit.trust.documents import assignment

HUB = generate_key_pair()
THIEF = generate_key_pair()


def spec(n=1, incarnation=1, site="site-a", key=HUB, claimed=None):
    document = assignment(site=site, serial=(incarnation, n))
    told = spec_of(seal_assignment(document, key.private_pem), document)
    return told.model_copy(update={"serial": claimed or told.serial})


def offer(offered, local=None):
    return accept(offered, local=local, hub_key=HUB.public_pem, site="site-a")


def test_the_first_offer_is_taken():
    assert offer(spec(1)).changes


def test_the_same_offer_again_changes_nothing():
    same = spec(4)
    assert not offer(same, local=same).changes


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (spec(4), "SerialOlder"),
        (spec(9, incarnation=0), "SerialOlder"),
        (spec(6, site="site-b"), "WrongSite"),
        (spec(6, key=THIEF), "EnvelopeInvalid"),
        (SiteAssignmentSpec(envelope="{}", serial=Serial(incarnation=9, n=9)), "EnvelopeInvalid"),
    ],
)
def test_what_is_not_newer_and_ours_is_refused(offered, reason):
    with pytest.raises(TrustError) as caught:
        offer(offered, local=spec(5))
    assert caught.value.reason == reason


def test_a_raised_serial_field_locks_nobody_out():
    edited = spec(5, claimed=Serial(incarnation=10**6, n=10**6))
    assert offer(spec(6), local=edited).changes
    assert offer(spec(5), local=edited).changes


def test_fields_beside_the_envelope_are_the_documents_and_never_the_offers():
    forged = spec(5, claimed=Serial(incarnation=2**62, n=0)).model_copy(update={"models": ()})
    assert offer(forged).spec == spec(5).model_copy(update={"envelope": forged.envelope})


GARBAGE = SiteAssignmentSpec(envelope="x", serial=Serial(incarnation=9, n=9))


@pytest.mark.parametrize("local", [spec(5, key=THIEF), GARBAGE])
def test_a_local_envelope_that_does_not_verify_counts_as_none(local):
    assert known_serial(local, HUB.public_pem, "site-a") is None
    assert offer(spec(1), local=local).changes


_serials = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(deadline=None)
@given(st.lists(_serials, min_size=1, max_size=6))
def test_the_mirror_never_goes_back(serials):
    local, highest = None, (0, 0)
    for incarnation, n in serials:
        try:
            taken = offer(offered := spec(n, incarnation), local=local)
        except TrustError:
            assert (incarnation, n) < highest
            continue
        local, highest = offered, taken.document.serial.key()
        assert highest == (incarnation, n)
