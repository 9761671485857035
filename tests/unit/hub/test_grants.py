import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_api.v1alpha1.siteclass import RuntimeResources
from skerry_core.assignment.document import AssignmentDocument, ModelAssignment, ReleaseRef, RuntimeTemplate
from skerry_core.bundle.manifest import Manifest
from skerry_core.canonical import canonical_json
from skerry_core.errors import UserMustActError
from skerry_core.store.blobs import blob_key, put_bytes
from skerry_core.store.errors import DigestMismatchError, ObjectMissingError, StoreUnavailableError
from skerry_core.store.grant import S3GrantIssuer
from skerry_core.store.memory import MemoryStore
from skerry_core.store.s3 import S3Settings, S3Store
from skerry_operator.hub.grants import GrantKeeper
from skerry_operator.hub.rollout.defaults import analysis_limits
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import SECRETS

NOW = datetime(2030, 1, 1, tzinfo=UTC)
POLICY, MODEL_FILE, SIGNATURE = (f"sha256:{digit * 64}" for digit in "567")
TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}


SETTINGS = S3Settings(endpoint="http://s3.test:9000", bucket="skerry", access_key="id", secret_key="secret")


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def release(store):
    """A release whose manifest the store holds."""
    manifest = Manifest.model_validate(
        {
            "model": "har",
            "version": "1.0.0",
            "createdAt": NOW,
            "entrypoint": "model.onnx",
            "files": [{"path": "model.onnx", "digest": MODEL_FILE, "size": 10}],
            "inputs": [TENSOR],
            "outputs": [TENSOR],
            "decision": {"kind": "argmax", "output": "x"},
            "runtime": {"irVersion": 8, "opsets": {"": 17}, "operators": ["MatMul"]},
        }
    )
    digest = put_bytes(store, canonical_json(manifest)).digest
    return ReleaseRef(release="har-1.0.0", version="1.0.0", digest=digest, signature=SIGNATURE)


def document(*releases: ReleaseRef) -> AssignmentDocument:
    limits = analysis_limits(None)
    entries = (
        ModelAssignment(namespace="f", name="har", served_name="har", target=each, analysis=limits) for each in releases
    )
    return AssignmentDocument(
        site="site-a",
        serial=Serial(incarnation=1, n=1),
        issued_at=NOW,
        trust_policy=POLICY,
        runtime=RuntimeTemplate(image="skerry-edge:0.1.0", resources=RuntimeResources()),
        models=tuple(entries),
    )


@pytest.fixture
def kube():
    return MemoryKube()


@pytest.fixture
def checks():
    return []


@pytest.fixture
def keeper(kube, store, checks):
    return GrantKeeper(kube, store, S3GrantIssuer(S3Store(SETTINGS)), checks.append)


def grant(kube) -> dict:
    secret = kube.get(SECRETS, "store-grant", "skerry-site-site-a")
    return json.loads(base64.b64decode(secret["data"]["grant.json"]))


def test_a_site_may_read_what_it_is_assigned_and_nothing_else(keeper, kube, release):
    assert keeper.keep("site-a", document(release), NOW) == 1800
    assert set(grant(kube)["blobs"]) == {POLICY, MODEL_FILE, SIGNATURE, release.digest}
    assert grant(kube)["upload"]["prefix"].startswith("sites/site-a/")


def test_a_site_may_read_its_sync_policy(keeper, kube, release):
    digest = "sha256:" + "8" * 64
    keeper.keep("site-a", document().model_copy(update={"sync_policy": digest}), NOW)
    assert set(grant(kube)["blobs"]) == {POLICY, digest}


def test_a_grant_is_renewed_at_half_life_and_not_before(keeper, kube, release):
    keeper.keep("site-a", document(release), NOW)
    first = grant(kube)
    assert keeper.keep("site-a", document(release), NOW + timedelta(minutes=29)) == 60
    assert grant(kube) == first
    keeper.keep("site-a", document(release), NOW + timedelta(minutes=30))
    assert grant(kube)["expiresAt"] > first["expiresAt"]


def test_a_new_release_needs_a_new_grant_at_once(keeper, kube, release):
    keeper.keep("site-a", document(), NOW)
    assert set(grant(kube)["blobs"]) == {POLICY}
    keeper.keep("site-a", document(release), NOW)
    assert MODEL_FILE in grant(kube)["blobs"]


def test_a_key_pair_that_was_replaced_needs_a_new_grant_at_once(kube, store, release, tmp_path):
    def put(access_key, secret_key):
        (tmp_path / "accessKey").write_text(access_key)
        (tmp_path / "secretKey").write_text(secret_key)

    put("old", "secret")
    settings = S3Settings(endpoint="http://s3.test:9000", bucket="skerry", key_folder=tmp_path)
    keeper = GrantKeeper(kube, store, S3GrantIssuer(S3Store(settings)), lambda _now: None)
    keeper.keep("site-a", document(release), NOW)
    assert "old" in grant(kube)["listUrl"]
    put("new", "secret")
    keeper.keep("site-a", document(release), NOW)
    assert "new" in grant(kube)["listUrl"]
    before = grant(kube)
    put("new", "another secret")
    keeper.keep("site-a", document(release), NOW)
    assert grant(kube)["listUrl"] != before["listUrl"]


def test_the_store_is_checked_once_before_the_first_grant(keeper, checks, release):
    keeper.keep("site-a", document(release), NOW)
    keeper.keep("site-b", document(release), NOW)
    assert checks == [NOW]


def test_a_store_that_does_not_keep_sites_apart_gets_no_grant(kube, store, release):
    def refuse(_now):
        raise UserMustActError("StoreNotConfining", "use another S3 server")

    keeper = GrantKeeper(kube, store, S3GrantIssuer(S3Store(SETTINGS)), refuse)
    for _ in range(2):
        with pytest.raises(UserMustActError, match="another S3 server"):
            keeper.keep("site-a", document(release), NOW)
    assert kube.get(SECRETS, "store-grant", "skerry-site-site-a") is None


def test_a_manifest_that_the_store_lost_is_a_reason_to_wait(keeper, release):
    gone = release.model_copy(update={"digest": "sha256:" + "9" * 64})
    with pytest.raises(ObjectMissingError):
        keeper.keep("site-a", document(gone), NOW)


@pytest.mark.parametrize("trouble", ["lost", "damaged"])
def test_a_manifest_that_the_store_lost_keeps_nothing_else_from_the_site(keeper, kube, store, release, trouble):
    """Least of all its uploads: a grant holds for an hour."""
    gone = release.model_copy(update={"digest": "sha256:" + "9" * 64})
    if trouble == "damaged":
        store.put(blob_key(gone.digest), b"?")
    for minutes in (0, 1, 31):
        with pytest.raises((ObjectMissingError, DigestMismatchError)):
            keeper.keep("site-a", document(release, gone), NOW + timedelta(minutes=minutes))
    assert set(grant(kube)["blobs"]) == {POLICY, MODEL_FILE, SIGNATURE, release.digest, gone.digest}
    assert grant(kube)["expiresAt"] == "2030-01-01T01:31:00Z"


def test_a_store_that_is_away_leaves_the_grant_that_there_is(keeper, kube, store, release, monkeypatch):
    """What the hub can't read now would be missing in a new one."""

    def away(*_, **__):
        raise StoreUnavailableError("no route")

    monkeypatch.setattr(store, "get", away)
    with pytest.raises(StoreUnavailableError):
        keeper.keep("site-a", document(release), NOW)
    assert kube.get(SECRETS, "store-grant", "skerry-site-site-a") is None


def test_a_grant_that_somebody_deleted_is_issued_again_within_a_minute(keeper, kube, release):
    keeper.keep("site-a", document(release), NOW)
    kube.delete(SECRETS, "store-grant", "skerry-site-site-a")
    keeper.keep("site-a", document(release), NOW + timedelta(minutes=1))
    assert set(grant(kube)["blobs"]) == {POLICY, MODEL_FILE, SIGNATURE, release.digest}


def test_whether_a_grant_is_there_is_asked_once_a_minute_at_most(keeper, kube, release, monkeypatch):
    asked = []
    read = kube.get
    monkeypatch.setattr(kube, "get", lambda *what: asked.append(what) or read(*what))
    for seconds in (0, 1, 59, 60, 61, 119, 120):
        keeper.keep("site-a", document(release), NOW + timedelta(seconds=seconds))
    assert len(asked) == 2
