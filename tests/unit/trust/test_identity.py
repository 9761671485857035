import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.trust.errors import Refusal, TrustError
from skerry_core.trust.identity import check, check_release, check_signer
from skerry_core.trust.policy import Binding, DenyList, MinimumVersion, PolicyDocument, SignerIdentity
from tests.unit.trust.documents import ISSUED

ALICE = SignerIdentity(subject="alice@example.test", issuer="https://issuer.test")
BOB = SignerIdentity(subject="bob@example.test", issuer="https://issuer.test")
DIGEST = "sha256:" + "a" * 64


def policy(*bindings, **more):
    return PolicyDocument(serial=7, issued_at=ISSUED, bindings=bindings, **more)


def binding(namespace, *models, signers=(ALICE,)):
    return Binding(namespace=namespace, models=models, identities=signers)


def allowed(under, namespace="demo", model="har", version="1.0.0", signer=ALICE):
    try:
        check(under, namespace=namespace, model=model, version=version, digest=DIGEST, signer=signer)
    except TrustError as error:
        return error.reason
    return True


@pytest.mark.parametrize(
    ("globs", "model", "expected"),
    [
        (("har",), "har", True),
        (("har",), "har-2", Refusal.MODEL_NOT_LISTED),
        (("har*",), "har-2", True),
        (("*",), "anything", True),
        (("HAR",), "har", Refusal.MODEL_NOT_LISTED),
        (("h?r",), "har", True),
        (("[gh]ar",), "har", True),
        (("vision-*", "har"), "har", True),
    ],
)
def test_models_match_globs_with_regard_to_case(globs, model, expected):
    assert allowed(policy(binding("demo", *globs)), model=model) == expected


def test_a_binding_counts_in_its_own_namespace_only():
    under = policy(binding("demo", "*"))
    assert allowed(under, namespace="other") == Refusal.MODEL_NOT_LISTED


def test_any_binding_that_matches_may_allow_the_signer():
    under = policy(binding("demo", "har", signers=(BOB,)), binding("demo", "*", signers=(ALICE,)))
    assert allowed(under) is True
    assert allowed(under, signer=BOB) is True
    assert allowed(under, model="vision", signer=BOB) == Refusal.SIGNER_NOT_ALLOWED


@pytest.mark.parametrize(
    "signer",
    [
        SignerIdentity(subject=ALICE.subject, issuer="https://issuer.test/"),
        SignerIdentity(subject="Alice@example.test", issuer=ALICE.issuer),
        SignerIdentity(subject=ALICE.issuer, issuer=ALICE.subject),
    ],
)
def test_subject_and_issuer_are_compared_letter_by_letter(signer):
    assert allowed(policy(binding("demo", "*")), signer=signer) == Refusal.SIGNER_NOT_ALLOWED


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("1.9.0", "1.10.0", Refusal.VERSION_TOO_OLD),
        ("1.10.0", "1.9.0", True),
        ("2.0.0-rc.1", "2.0.0", Refusal.VERSION_TOO_OLD),
        ("2.0.0", "2.0.0-rc.1", True),
        ("2.0.0-rc.10", "2.0.0-rc.9", True),
        ("2.0.0-a..b", "1.0.0", Refusal.VERSION_TOO_OLD),
    ],
)
def test_versions_are_ordered_by_semver(version, minimum, expected):
    minimum_versions = (MinimumVersion(namespace="demo", model="har", version=minimum),)
    assert allowed(policy(binding("demo", "*"), minimum_versions=minimum_versions), version=version) == expected


def test_a_minimum_of_another_model_does_not_count():
    minimum_versions = (
        MinimumVersion(namespace="demo", model="vision", version="9.0.0"),
        MinimumVersion(namespace="other", model="har", version="9.0.0"),
    )
    assert allowed(policy(binding("demo", "*"), minimum_versions=minimum_versions)) is True


def test_the_deny_list_comes_before_everything_else():
    deny_list = DenyList(digests=(DIGEST,), identities=(ALICE,))
    denied = policy(binding("demo", "*"), deny_list=deny_list)
    with pytest.raises(TrustError) as caught:
        check_release(denied, namespace="demo", model="har", version="1.0.0", digest=DIGEST)
    assert caught.value.reason == Refusal.DIGEST_DENIED
    with pytest.raises(TrustError) as caught:
        check_signer(denied, namespace="demo", model="har", signer=ALICE)
    assert caught.value.reason == Refusal.IDENTITY_DENIED


NAMES = st.sampled_from(["demo", "har", "vision", "har-2"])
BINDINGS = st.lists(
    st.builds(binding, NAMES, NAMES | st.just("*"), signers=st.sampled_from([(ALICE,), (BOB,), (ALICE, BOB)])),
    max_size=4,
)


@settings(deadline=None)
@given(
    BINDINGS, st.sampled_from([DenyList(), DenyList(identities=(BOB,))]), NAMES, NAMES, st.sampled_from([ALICE, BOB])
)
def test_nothing_is_allowed_that_no_binding_allows_or_the_deny_list_denies(
    bindings, deny_list, namespace, model, signer
):
    named = any(b.namespace == namespace and b.models[0] in {"*", model} and signer in b.identities for b in bindings)
    expected = named and signer not in deny_list.identities
    under = policy(*bindings, deny_list=deny_list)
    assert (allowed(under, namespace=namespace, model=model, signer=signer) is True) == expected
