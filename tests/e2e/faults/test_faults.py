"""When things go wrong: each fault is told with a reason, leaves what serves alone, and heals without a restart."""

import json
import os
from contextlib import ExitStack

import pytest
import yaml

from skerry_core.bundle.publish import push, storage_uri_of
from skerry_core.store.blobs import blob_key
from tests.cluster.lab import LabError
from tests.cluster.lab.waiting import wait_for
from tests.e2e.faults.models import giving_nan, too_new
from tests.e2e.faults.world import DISK, FIRST, HEALED_WITHIN, SITE, TOLD_WITHIN, conditions
from tests.e2e.story.platform import BUCKET, MODEL, NAMESPACE

pytestmark = [pytest.mark.lab, pytest.mark.long]

PADDING = 8 << 20  # makes a model that doesn't fit beside the filler
LEFT = 8 << 20  # of which sync keeps a reserve of 5 % of the disk, 6.4 MiB


def test_a_store_that_is_down(world):
    bundle = world.bundle()
    world.lab.store.stop()
    try:
        version = world.apply(bundle)
        message = world.wait_trouble(lambda: world.release_status(version), "Reconciling", "StoreUnavailable")
        assert world.lab.store.endpoint in message
    finally:
        world.lab.store.start()
    world.wait_healed(version)


def test_a_proxy_that_answers_with_a_login_page(world):
    bundle = world.bundle()
    world.lab.store.stop()
    try:
        with world.login_page():
            version = world.apply(bundle)
            message = world.wait_trouble(lambda: world.release_status(version), "Reconciling", "StoreAnswersWithPage")
            assert "proxy" in message
    finally:
        world.lab.store.start()
    world.wait_healed(version)


@pytest.mark.parametrize(
    ("page", "reason", "words"),
    [(False, "StoreUnavailable", "can't be reached"), (True, "StoreAnswersWithPage", "through the proxy, or log in")],
    ids=["nothing answers", "a login page answers"],
)
def test_a_node_that_loses_the_store_in_the_middle_of_a_rollout(world, page, reason, words):
    bundle, store, site = world.bundle(), world.lab.store, world.site
    with ExitStack() as until_told:
        until_told.callback(store.start)
        site.cut()
        try:
            before = world.grant()
            version = world.apply(bundle)
            wait_for("the site's grant names the release", lambda: world.grant() != before, seconds=TOLD_WITHIN)
            store.stop()
            if page:
                until_told.enter_context(world.login_page())
        finally:
            site.join()
        message = world.wait_trouble(world.node_status, "Reconciling", reason)
        assert store.endpoint in message
        assert words in message
    world.wait_healed(version)


def test_a_key_pair_that_the_store_no_longer_knows(world):
    bundle = world.bundle()
    world.lab.store.replace_keys()
    try:
        version = world.apply(bundle)
        message = world.wait_trouble(lambda: world.release_status(version), "Stalled", "StoreCredentialsRefused")
        assert "key pair" in message
        # The node knows only the grant, which that key pair signed.
        wait_for("the node is refused", lambda: _uploading(world)["reason"] == "GrantRefused", seconds=TOLD_WITHIN)
        assert _uploading(world)["status"] == "False"
        assert "check the hub's store credentials" in _uploading(world)["message"]
        world.wait_champion()
    finally:
        world.story.platform.put_store_keys()
    world.wait_healed(version)
    # Uploads are tried again in their own time, whatever downloads do.
    wait_for("the node uploads", lambda: _uploading(world)["status"] == "True", seconds=HEALED_WITHIN, every=0.5)


def _uploading(world):
    return conditions(world.node_status())["Uploading"]


@pytest.mark.parametrize("left", [None, 0.5], ids=["a blob missing", "a blob truncated"])
def test_a_bundle_half_uploaded(world, left):
    bundle, store = world.bundle(), world.story.platform.store()
    file = bundle.manifest.files[0]
    blob = world.lab.store.root / BUCKET / blob_key(file.digest)
    if left is None:
        blob.unlink()
    else:
        os.truncate(blob, int(file.size * left))
    version = world.apply(bundle)
    message = world.wait_trouble(lambda: world.release_status(version), "Reconciling", "BundleIncomplete")
    assert file.digest in message
    assert "push the bundle again" in message
    push(store, bundle, storage_uri_of(store, bundle.manifest))
    world.wait_healed(version)


def test_a_disk_too_small(world):
    bundle = world.bundle(padding=PADDING)
    filler = world.site.path(DISK) / "filler"
    disk = os.statvfs(filler.parent)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - LEFT)
    try:
        version = world.apply(bundle)
        message = world.wait_trouble(world.node_status, "Stalled", "DiskTooSmall")
        assert "free space" in message
    finally:
        filler.unlink()
    world.wait_healed(version)


def test_a_model_that_onnx_runtime_cannot_load(world):
    version = world.apply(world.bundle(instead=too_new(world.story.author.model_bytes(FIRST))))
    world.story.hub.wait_phase(version, "RolledBack", TOLD_WITHIN)
    message = world.wait_trouble(lambda: world.release_status(version), "Stalled", "RolledBack")
    assert "ModelNotLoadable" in message
    assert "ONNX Runtime can't load the model" in message
    assert world.release_status(version)["failedMetric"]["site"] == SITE
    world.wait_healed(world.apply(world.bundle()))


def test_a_model_that_gives_nan_is_quarantined_at_the_hub_and_on_the_node(world):
    bundle = world.bundle(giving_nan(world.story.author.model_bytes(FIRST)))
    version = world.apply(bundle)
    world.story.hub.wait_phase(version, "RolledBack", TOLD_WITHIN)
    world.wait_champion()
    listed = json.loads(world.hub.kubectl("get", "quarantines", "--output=json").stdout)["items"]
    (spec,) = (each["spec"] for each in listed if each["spec"]["digest"] == bundle.digest)
    assert (spec["release"], spec["scope"], spec["sites"]) == (f"{MODEL}-{version}", "release", [SITE])
    assert spec["reason"] == world.release_status(version)["failedMetric"]
    kept = json.loads((world.site.path(DISK) / "inference/quarantine.json").read_text())
    assert bundle.digest in [entry["digest"] for entry in kept["models"][f"{NAMESPACE}/{MODEL}"]]


def test_a_malformed_release_is_refused_at_once(world):
    good = world.release(world.bundle())
    for change, words in (
        ({"version": "one"}, "spec.version"),
        ({"storageUri": "http://models.example/1"}, "spec.storageUri"),
        ({"digest": "sha256:1"}, "spec.digest"),
    ):
        with pytest.raises(LabError, match=words):
            world.story.hub.apply(yaml.safe_dump({**good, "spec": good["spec"] | change}))
    world.wait_champion()


def test_a_release_that_lies_elsewhere(world):
    bundle = world.bundle()
    good, version = world.release(bundle), bundle.manifest.version
    elsewhere = {**good, "spec": good["spec"] | {"storageUri": "s3://elsewhere/models/exercise"}}
    world.story.hub.apply(yaml.safe_dump(elsewhere))
    message = world.wait_trouble(lambda: world.release_status(version), "Stalled", "StoreAddressInvalid")
    assert "s3://elsewhere" in message
    with pytest.raises(LabError, match="storageUri can't be changed"):
        world.apply(bundle)
    world.hub.kubectl("delete", "modelrelease", good["metadata"]["name"], f"--namespace={NAMESPACE}")
    world.wait_healed(world.apply(bundle))


def test_a_model_that_names_a_ring_that_is_not_there(world):
    def status():
        got = world.hub.kubectl("get", "model", MODEL, f"--namespace={NAMESPACE}", "--output=json")
        return yaml.safe_load(got.stdout).get("status", {})

    world.patch_model({"rings": ["internal", "nowhere"]})
    try:
        assert "nowhere" in world.wait_trouble(status, "Reconciling", "RingMissing")
    finally:
        world.patch_model({"rings": ["internal", "fleet"]})
    wait_for("the Model is ready", lambda: conditions(status())["Ready"]["status"] == "True", seconds=TOLD_WITHIN)
