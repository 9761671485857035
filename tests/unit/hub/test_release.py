"""What trouble with the store means for a release, and what trouble with the bundle does."""

import pytest

from skerry_api.conditions import find
from skerry_api.v1alpha1.modelrelease import ModelRelease, ReleasePhase
from skerry_core.store.errors import (
    DigestMismatchError,
    StoreAddressInvalidError,
    StoreAnswersWithPageError,
    StoreBucketMissingError,
    StoreCredentialsRefusedError,
    StoreUnavailableError,
)
from skerry_core.store.memory import MemoryStore
from skerry_core.trust.policy import PolicyDocument
from skerry_operator.hub.hub import ActivePolicy
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.reconcile.release import ReleaseReconciler
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import MODEL_RELEASES
from tests.unit.hub.a_hub import NOW, make_hub
from tests.unit.hub.test_feature_set import World

KEY = Key(MODEL_RELEASES, "f", "har-1.0.0")
DIGEST, SIGNATURE = (f"sha256:{digit * 64}" for digit in "12")
OF_THE_STORE = {
    StoreUnavailableError("no route"): "Reconciling",
    StoreAnswersWithPageError("http://s3", "a web page"): "Reconciling",
    StoreCredentialsRefusedError("unknown key"): "Stalled",
    StoreBucketMissingError("http://s3", "skerry"): "Stalled",
}
OF_THE_BUNDLE = (DigestMismatchError("other bytes"), StoreAddressInvalidError("elsewhere"))


class Store(MemoryStore):
    error: Exception

    def get(self, *_args, **_kwargs):
        raise self.error


def reconciled(error, **status):
    """The release after a look at a store that raises, and after how many seconds it is looked at again."""
    store = Store()
    store.error = error
    hub = make_hub(MemoryKube(), store)
    hub.trust.active = ActivePolicy(PolicyDocument(serial=1, issued_at=NOW, bindings=()), DIGEST)
    spec = {"model": "har", "version": "1.0.0", "storageUri": f"{store.uri}/har/1.0.0", "digest": DIGEST}
    body = {"metadata": {"name": KEY.name, "namespace": KEY.namespace}, "spec": spec}
    hub.inventory.observe(MODEL_RELEASES, "ADDED", hub.kube.apply(MODEL_RELEASES, body))
    if status:
        release = hub.inventory.get(ModelRelease, KEY.name, KEY.namespace)
        hub.statuses.write(release, release.status.model_copy(update=status))
    again = ReleaseReconciler(hub)(KEY)
    return hub.inventory.get(ModelRelease, KEY.name, KEY.namespace).status, again


@pytest.mark.parametrize("error", OF_THE_STORE, ids=lambda error: error.reason)
@pytest.mark.parametrize("before", [{}, {"phase": ReleasePhase.REFUSED}], ids=["new", "refused before"])
def test_trouble_with_the_store_refuses_no_release(error, before):
    status, again = reconciled(error, **before)
    assert (status.phase, status.reason) == (ReleasePhase.PENDING, error.reason)
    condition = find(status.conditions, OF_THE_STORE[error])
    assert (condition.reason, condition.message) == (error.reason, str(error))
    assert again <= 5


@pytest.mark.parametrize("error", OF_THE_STORE, ids=lambda error: error.reason)
def test_trouble_with_the_store_stops_no_release_that_was_verified(error):
    before = {"phase": ReleasePhase.PROGRESSING, "signature": SIGNATURE, "started_at": NOW}
    status, _ = reconciled(error, **before)
    assert (status.phase, status.reason, status.conditions) == (ReleasePhase.PROGRESSING, "", ())


@pytest.mark.parametrize("error", OF_THE_BUNDLE, ids=lambda error: error.reason)
def test_trouble_with_the_bundle_refuses_its_release(error):
    status, again = reconciled(error)
    assert (status.phase, status.reason) == (ReleasePhase.REFUSED, error.reason)
    assert find(status.conditions, "Stalled").message == str(error)
    assert again


def prepared(signed, asked):
    """The status of a release whose manifest and spec name these versions of preprocessing, if any."""
    says = {} if asked is None else {"preprocessingVersion": asked}
    return World().release(signs={"preprocessing_version": signed}, says=says)


@pytest.mark.parametrize(
    ("signed", "asked", "words"),
    [
        ("2.1.0", None, "spec.preprocessingVersion says none, and the signed manifest 2.1.0"),
        (None, "2.1.0", "spec.preprocessingVersion says 2.1.0, and the signed manifest none"),
        ("2.1.0", "2.1.1", "spec.preprocessingVersion says 2.1.1, and the signed manifest 2.1.0"),
    ],
)
def test_a_release_names_the_preprocessing_that_was_signed(signed, asked, words):
    status = prepared(signed, asked)
    assert (status.phase, status.reason) == (ReleasePhase.REFUSED, "PreprocessingVersionDiffers")
    assert words in find(status.conditions, "Stalled").message


@pytest.mark.parametrize("version", [None, "2.1.0"])
def test_a_release_that_names_the_same_preprocessing_is_taken(version):
    status = prepared(version, version)
    assert (status.phase, bool(status.signature)) == (ReleasePhase.PENDING, True)
