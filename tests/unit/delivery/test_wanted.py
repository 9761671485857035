import pytest

from skerry_core import digest
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES, Manifest
from skerry_core.features.definition import MAX_DOCUMENT_BYTES as MAX_FEATURE_SET_BYTES
from skerry_core.features.definition import FeatureInput, FeatureSetRef
from skerry_core.sync_policy.document import MAX_DOCUMENT_BYTES
from skerry_core.trust.policy_envelope import MAX_ENVELOPE_BYTES
from skerry_edge.delivery.wanted import keep, wanted
from tests.unit.delivery.worlds import POLICY, Release, assignment

OLD, NEW = Release("1.0.0", (b"old model",)), Release("1.1.0", (b"new model", b"labels"))
POLICY_DIGEST = digest.of_bytes(POLICY)
SYNC_POLICY = digest.of_bytes(b"a sync policy")
MANIFESTS = {release.ref.digest: release.manifest for release in (OLD, NEW)}


def digests(blobs):
    return [item.digest for item in blobs]


def test_the_policy_comes_first_then_the_approved_release_then_the_target():
    expected = [POLICY_DIGEST, *OLD.blobs, *NEW.blobs]
    assert digests(wanted(assignment(NEW, OLD), MANIFESTS)) == expected


def test_a_sync_policy_comes_before_any_release_and_is_kept():
    document = assignment(NEW).model_copy(update={"sync_policy": SYNC_POLICY})
    trust, sync, *_ = wanted(document, MANIFESTS)
    assert (trust.digest, sync.digest, sync.limit) == (POLICY_DIGEST, SYNC_POLICY, MAX_DOCUMENT_BYTES)
    assert SYNC_POLICY in keep(document, (), MANIFESTS).digests


def test_files_are_wanted_once_the_manifest_tells_them():
    assert digests(wanted(assignment(NEW), {})) == [POLICY_DIGEST, NEW.ref.digest, NEW.ref.signature]


def test_sizes_are_bounded_and_those_of_files_exact():
    policy, manifest, signature, *files = wanted(assignment(NEW), MANIFESTS)
    assert [policy.limit, manifest.limit, signature.limit] == [
        MAX_ENVELOPE_BYTES, MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES
    ]  # fmt: skip
    assert [(item.limit, item.size) for item in files] == [(9, 9), (6, 6)]


def test_a_release_that_is_target_and_approved_is_wanted_once():
    assert digests(wanted(assignment(NEW, NEW), MANIFESTS)) == [POLICY_DIGEST, *NEW.blobs]


@pytest.mark.parametrize("by", ["hub", "site"])
def test_what_may_not_run_is_not_fetched(by):
    hub, site = ((NEW.ref.digest,), ()) if by == "hub" else ((), (NEW.ref.digest,))
    document = assignment(NEW, OLD, quarantined=hub)
    assert digests(wanted(document, MANIFESTS, site)) == [POLICY_DIGEST, *OLD.blobs]


def test_what_inference_holds_is_kept_even_if_no_assignment_names_it_or_it_may_not_run():
    kept = keep(assignment(NEW), (OLD.ref,), MANIFESTS, (OLD.ref.digest,))
    assert kept.complete
    assert kept.digests == {POLICY_DIGEST, *OLD.blobs, *NEW.blobs}


def test_a_quarantined_release_that_inference_has_let_go_of_is_not_kept():
    kept = keep(assignment(NEW, OLD), (OLD.ref,), MANIFESTS, (NEW.ref.digest,))
    assert not kept.digests & set(NEW.blobs)


@pytest.mark.parametrize(
    ("document", "activation", "manifests"),
    [
        (None, (), MANIFESTS),
        (assignment(NEW), None, MANIFESTS),
        (assignment(NEW), (OLD.ref,), {NEW.ref.digest: NEW.manifest}),
    ],
    ids=["no assignment", "activation unreadable", "a held release's manifest missing"],
)
def test_nothing_may_go_while_anything_is_unknown(document, activation, manifests):
    assert not keep(document, activation, manifests).complete


def on_features(release: Release, feature_set: str) -> Manifest:
    ref = FeatureSetRef(namespace="factory", name="vibration", version="1.0.0", digest=feature_set)
    given = FeatureInput(input="x", feature_set=ref, features=("rms_mean",))
    return release.manifest.model_copy(update={"features": (given,)})


SET, OLDER_SET = digest.of_bytes(b"a feature set"), digest.of_bytes(b"an older one")


def test_feature_sets_come_before_the_models_files():
    manifests = MANIFESTS | {NEW.ref.digest: on_features(NEW, SET)}
    manifest, signature, *files = NEW.blobs
    assert digests(wanted(assignment(NEW), manifests)) == [POLICY_DIGEST, manifest, signature, SET, *files]


def test_what_the_assignment_names_comes_before_the_manifests():
    document = assignment(NEW).model_copy(update={"feature_sets": (SET,)})
    manifests = MANIFESTS | {NEW.ref.digest: on_features(NEW, SET)}
    blobs = wanted(document, manifests)
    assert digests(blobs) == [POLICY_DIGEST, SET, *NEW.blobs]
    assert blobs[1].limit == MAX_FEATURE_SET_BYTES
    assert SET in keep(document, (), {}).digests


def test_the_sets_of_what_serves_are_kept():
    manifests = MANIFESTS | {OLD.ref.digest: on_features(OLD, OLDER_SET)}
    assert OLDER_SET in keep(assignment(NEW), (OLD.ref,), manifests).digests
    assert OLDER_SET not in keep(assignment(NEW), (), manifests).digests
