"""When things go wrong: each fault is told with a reason, leaves what serves alone, and heals without a restart."""

import json
import os
import shutil

import pytest
import yaml

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


def test_a_node_that_loses_the_store_in_the_middle_of_a_rollout(world):
    bundle, store, site = world.bundle(), world.lab.store, world.site
    site.cut()
    try:
        before = world.grant()
        version = world.apply(bundle)
        wait_for("the site's grant names the release", lambda: world.grant() != before, seconds=TOLD_WITHIN)
        store.stop()
    finally:
        site.join()
    try:
        assert store.endpoint in world.wait_trouble(world.node_status, "Reconciling", "StoreUnavailable")
    finally:
        store.start()
    world.wait_healed(version)


def test_a_node_that_meets_a_login_page_in_the_store_s_place(world):
    bundle, store, site = world.bundle(), world.lab.store, world.site
    site.cut()
    try:
        before = world.grant()
        version = world.apply(bundle)
        wait_for("the site's grant names the release", lambda: world.grant() != before, seconds=TOLD_WITHIN)
        store.stop()
        with world.login_page():
            site.join()
            assert "proxy" in world.wait_trouble(world.node_status, "Reconciling", "StoreAnswersWithPage")
    finally:
        site.join()
        store.start()
    world.wait_healed(version)


def test_a_key_pair_that_the_store_no_longer_knows(world):
    bundle = world.bundle()
    world.lab.store.replace_keys()
    try:
        version = world.apply(bundle)
        message = world.wait_trouble(lambda: world.release_status(version), "Stalled", "StoreCredentialsRefused")
        assert "key pair" in message
    finally:
        world.story.platform.put_store_keys()
    world.wait_healed(version)
    # Uploads are tried again in their own time, whatever downloads do.
    wait_for(
        "the node uploads",
        lambda: conditions(world.node_status())["Uploading"]["status"] == "True",
        seconds=HEALED_WITHIN,
        every=0.5,
    )


@pytest.mark.parametrize("there", [0.0, 0.5])
def test_a_bundle_half_uploaded(world, there):
    bundle = world.bundle()
    blob = world.lab.store.root / BUCKET / blob_key(bundle.manifest.files[0].digest)
    aside = blob.with_name("aside")
    blob.rename(aside)
    if there:
        blob.write_bytes(aside.read_bytes()[: int(aside.stat().st_size * there)])
        shutil.copystat(aside, blob)
    try:
        version = world.apply(bundle)
        message = world.wait_trouble(lambda: world.release_status(version), "Reconciling", "BundleIncomplete")
        assert "push the bundle again" in message
    finally:
        aside.rename(blob)
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


def test_a_person_takes_the_approved_release_back(world):
    before, version = world.champion, world.apply(world.bundle())
    watch = ("watch", f"{MODEL}-{version}", f"--namespace={NAMESPACE}", "--timeout=50s")
    world.story.hub.plugin(*watch)  # ends well once it is approved
    world.wait_healed(version)
    world.story.hub.plugin("rollback", MODEL, f"--namespace={NAMESPACE}", "--yes", "--message=it hums")
    world.champion = before
    world.story.hub.wait_phase(version, "RolledBack", TOLD_WITHIN)
    world.story.wait_answers(SITE, before, HEALED_WITHIN)
    reason = world.release_status(version)["failedMetric"]
    assert (reason["name"], reason["message"]) == ("Manual", "it hums")
    with pytest.raises(LabError, match="exit 1"):
        world.story.hub.plugin(*watch)


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
