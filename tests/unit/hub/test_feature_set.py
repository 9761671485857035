"""FeatureSets at the hub: published once a version, waited for by releases, and missed by nobody when they go."""

from dataclasses import replace
from datetime import timedelta

import pytest

from skerry_api.conditions import find
from skerry_api.v1alpha1.featureset import MAX_VERSIONS, FeatureSet, PublishedVersion
from skerry_api.v1alpha1.modelrelease import FeatureSetVersion, ModelRelease, ReleasePhase
from skerry_core import digest as digests
from skerry_core.bundle.manifest import BundleReference
from skerry_core.bundle.publish import REFERENCE_FILE
from skerry_core.canonical import canonical_json
from skerry_core.errors import UserMustActError, WaitError
from skerry_core.features.definition import MAX_DOCUMENT_BYTES, FeatureInput, FeatureSetDocument, FeatureSetRef
from skerry_core.store.blobs import put_bytes, read_blob
from skerry_core.store.errors import StoreUnavailableError
from skerry_core.store.memory import MemoryStore
from skerry_core.trust.identity import SignerIdentity
from skerry_core.trust.policy import PolicyDocument
from skerry_core.trust.verifier import VerifiedRelease
from skerry_operator.hub.feature_set.versions import check_release, with_version
from skerry_operator.hub.hub import ActivePolicy
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.reconcile.feature_set import reconcile_feature_set
from skerry_operator.hub.reconcile.release import ReleaseReconciler
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import FEATURE_SETS, MODEL_RELEASES
from tests.unit.hub.a_hub import NOW, make_hub
from tests.unit.hub.feature_sets import feature, resolved, spec
from tests.unit.inference.releases import manifest

SET, RELEASE = Key(FEATURE_SETS, "f", "presses"), Key(MODEL_RELEASES, "f", "har-1.0.0")
OTHER = "sha256:" + "9" * 64


class Store(MemoryStore):
    down = False

    def stat(self, key):
        if self.down:
            raise StoreUnavailableError("no route")
        return super().stat(key)


class Verifier:
    """Believes what is in the store: whether signatures count is tested with real ones elsewhere."""

    def __init__(self, manifest):
        self.manifest = manifest

    def verify(self, data, _signature, **_):
        return VerifiedRelease(self.manifest, digests.of_bytes(data), SignerIdentity(subject="a@b", issuer="c"), NOW)


class World:
    """A hub in memory that people apply FeatureSets and releases to."""

    def __init__(self):
        self.store, self.queued = Store(), []
        self.hub = make_hub(MemoryKube(), self.store, self.queued)
        self.hub.trust.active = ActivePolicy(PolicyDocument(serial=1, issued_at=NOW, bindings=()), OTHER)

    def apply(self, key, wire):
        body = {"metadata": {"name": key.name, "namespace": key.namespace}, "spec": wire}
        self.hub.inventory.observe(key.resource, "MODIFIED", self.hub.kube.apply(key.resource, body))

    def delete(self, key):
        gone = self.hub.kube.get(key.resource, key.name, key.namespace)
        self.hub.kube.delete(key.resource, key.name, key.namespace)
        self.hub.inventory.observe(key.resource, "DELETED", gone)

    def publish(self, wire):
        self.apply(SET, wire)
        return self.reconciled()

    def reconciled(self):
        self.again = reconcile_feature_set(self.hub, SET)
        return self.hub.inventory.get(FeatureSet, SET.name, SET.namespace).status

    def release(self, *refs, asked=None, signs=None, says=None):
        """A release whose signed manifest names these sets, after a look at it.

        `signs` is what else that manifest holds, `says` what else the release's spec.
        """
        bindings = tuple(FeatureInput(input="x", feature_set=ref, features=("mean",)) for ref in refs)
        model = put_bytes(self.store, b"model")
        signed = manifest(features=bindings, **(signs or {}))
        signed = signed.model_copy(
            update={"files": (signed.files[0].model_copy(update={"digest": model.digest, "size": model.size}),)}
        )
        blob = put_bytes(self.store, canonical_json(signed))
        reference = BundleReference(manifest=blob, signature=put_bytes(self.store, b"signature"))
        self.store.put(f"har/1.0.0/{REFERENCE_FILE}", canonical_json(reference))
        asked = [{"name": ref.name, "version": ref.version} for ref in refs] if asked is None else asked
        wire = {"model": "har", "version": "1.0.0", "storageUri": f"{self.store.uri}/har/1.0.0", "digest": blob.digest}
        self.apply(RELEASE, wire | {"featureSets": asked} | (says or {}))
        self.reconcile_release = ReleaseReconciler(replace(self.hub, verifier=Verifier(signed)))
        return self.look()

    def look(self):
        self.reconcile_release(RELEASE)
        return self.hub.inventory.get(ModelRelease, RELEASE.name, RELEASE.namespace).status


@pytest.fixture
def world():
    return World()


def ref(wire, **changes):
    document = resolved(wire)
    digest = digests.of_bytes(canonical_json(document))
    found = FeatureSetRef(namespace="f", name="presses", version=document.version, digest=digest)
    return found.model_copy(update=changes)


def reason(status, kind="Ready"):
    return find(status.conditions, kind).reason


def test_a_version_is_in_the_store_and_shown_whole(world):
    status = world.publish(spec())
    assert find(status.conditions, "Ready").status == "True"
    data = read_blob(world.store, status.digest, MAX_DOCUMENT_BYTES)
    assert FeatureSetDocument.model_validate_json(data) == resolved(spec())
    assert [(each.version, each.digest) for each in status.versions] == [("1.0.0", status.digest)]
    assert status.effective.allowed_lateness == timedelta(minutes=5)
    assert world.again is None


def test_a_look_at_what_is_published_writes_nothing_and_mends_the_store(world):
    status = world.publish(spec())
    before = world.hub.inventory.get(FeatureSet, SET.name, SET.namespace).metadata.resource_version
    world.store.delete(f"blobs/sha256/{status.digest.removeprefix('sha256:')}")
    assert world.reconciled() == status
    assert world.hub.inventory.get(FeatureSet, SET.name, SET.namespace).metadata.resource_version == before
    assert read_blob(world.store, status.digest, MAX_DOCUMENT_BYTES)


def test_an_earlier_version_stays_published(world):
    first = world.publish(spec())
    second = world.publish(spec(feature(default=1), version="1.1.0"))
    assert [each.version for each in second.versions] == ["1.0.0", "1.1.0"]
    assert second.versions[0].digest == first.digest != second.digest
    assert world.publish(spec()).digest == first.digest


def test_a_published_version_never_says_anything_else(world):
    first = world.publish(spec())
    changed = world.publish(spec(feature(default=1)))
    assert reason(changed, "Stalled") == "VersionTaken"
    assert (changed.digest, changed.versions) == (first.digest, first.versions)
    assert world.again


def test_what_cannot_be_computed_is_stalled_and_not_published(world):
    status = world.publish(spec(feature(value="rmss")))
    assert reason(status, "Stalled") == "ExpressionInvalid"
    assert (status.digest, status.versions) == (None, ())


def test_a_store_that_is_away_is_waited_for(world):
    world.store.down = True
    status = world.publish(spec())
    assert reason(status, "Reconciling") == "StoreUnavailable"
    assert (status.versions, bool(world.again)) == ((), True)
    world.store.down = False
    assert find(world.reconciled().conditions, "Ready").status == "True"


def test_a_release_waits_for_its_set_and_is_woken_by_it(world):
    status = world.release(ref(spec()))
    assert (status.phase, reason(status, "Reconciling")) == (ReleasePhase.PENDING, "FeatureSetNotPublished")
    assert "f/presses 1.0.0" in find(status.conditions, "Ready").message
    world.queued.clear()
    world.publish(spec())
    assert world.queued == [RELEASE]
    assert world.look().signature
    world.queued.clear()
    world.reconciled()
    assert world.queued == []


def test_a_set_that_is_deleted_takes_nothing_from_a_release_that_was_verified(world):
    world.publish(spec())
    verified = world.release(ref(spec()))
    assert verified.signature
    world.delete(SET)
    assert reconcile_feature_set(world.hub, SET) is None
    assert world.look() == verified
    # Also to a hub that starts anew.
    world.hub.trust.active = ActivePolicy(world.hub.trust.active.document, "sha256:" + "8" * 64)
    assert world.look().signature


@pytest.mark.parametrize(
    ("refs", "asked", "expected", "words"),
    [
        ([ref(spec())], [], "FeatureSetsDiffer", "spec.featureSets says none, and the signed manifest presses 1.0.0"),
        ([], [{"name": "presses", "version": "1.0.0"}], "FeatureSetsDiffer", "the signed manifest none"),
        ([ref(spec())], [{"name": "presses", "version": "1.1.0"}], "FeatureSetsDiffer", "says presses 1.1.0"),
        ([ref(spec(), namespace="g")], None, "FeatureSetElsewhere", "g/presses"),
        ([ref(spec(), digest=OTHER)], None, "FeatureSetDigestDiffers", OTHER),
    ],
)
def test_a_release_that_was_trained_on_something_else_is_refused(world, refs, asked, expected, words):
    world.publish(spec())
    status = world.release(*refs, asked=asked)
    assert (status.phase, reason(status, "Stalled")) == (ReleasePhase.REFUSED, expected)
    assert words in find(status.conditions, "Stalled").message


def test_a_release_may_need_two_versions_of_a_set():
    sets = {"presses": FeatureSet.model_validate({"metadata": {"name": "presses"}, "spec": spec()})}
    versions = tuple(PublishedVersion(version=v, digest=OTHER, published_at=NOW) for v in ("1.0.0", "1.1.0"))
    sets["presses"] = sets["presses"].model_copy(
        update={"status": sets["presses"].status.model_copy(update={"versions": versions})}
    )
    refs = [ref(spec(), version=version, digest=OTHER) for version in ("1.1.0", "1.0.0")]
    asked = [FeatureSetVersion(name="presses", version=version) for version in ("1.0.0", "1.1.0")]
    check_release("f", asked, refs, sets.get)
    with pytest.raises(WaitError, match=r"f/presses 1\.1\.0 is not published"):
        check_release("f", asked, refs, {}.get)


def test_of_many_versions_those_that_no_release_names_go_first():
    versions = ()
    for number in range(MAX_VERSIONS + 3):
        versions = with_version(versions, f"1.{number}.0", OTHER, named={"1.0.0", "1.2.0"}, now=NOW)
    assert len(versions) == MAX_VERSIONS
    assert [each.version for each in versions][:3] == ["1.0.0", "1.2.0", "1.5.0"]
    assert versions[-1].version == f"1.{MAX_VERSIONS + 2}.0"


def test_when_releases_name_them_all_the_oldest_goes():
    versions = ()
    names = [f"1.{number}.0" for number in range(MAX_VERSIONS + 1)]
    for name in names:
        versions = with_version(versions, name, OTHER, named=names, now=NOW)
    assert [each.version for each in versions] == names[1:]
    with pytest.raises(UserMustActError, match="published as"):
        with_version(versions, names[-1], "sha256:" + "1" * 64, named=(), now=NOW)
