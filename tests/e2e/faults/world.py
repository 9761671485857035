"""A hub and one site with a champion that serves, made once; faults are tried on it one after the other."""

import base64
import itertools
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
import yaml

from skerry_core import digest as digests
from skerry_core.bundle.folder import MANIFEST_FILE, MODEL_FILE, BundleFolder, read_bundle, write_signature
from skerry_core.bundle.package import package_model
from skerry_core.bundle.publish import push, storage_uri_of
from skerry_core.bundle.signing import sign_manifest
from skerry_core.canonical import canonical_json
from skerry_core.store.grant import StoreGrant
from skerry_operator.cli.push import release_of
from tests.cluster.lab import Cluster, Lab, LabCluster
from tests.cluster.lab.images import ImageBuilder, product_images
from tests.cluster.lab.layout import DEFAULT_CLUSTERS
from tests.cluster.lab.waiting import wait_for
from tests.e2e.faults.models import noted
from tests.e2e.story.author import Author
from tests.e2e.story.narration import Narrator
from tests.e2e.story.platform import MODEL, MODEL_TEAM, NAMESPACE, ROOT, RUNTIME, SYSTEM, Platform
from tests.e2e.story.story import Story
from tests.sigstore_instance import PrivateSigstore

SITE = "site-a"
WORK = ROOT / "build" / "faults"
DISK = "/var/lib/skerry"
DISK_BYTES = 128 << 20
FIRST = "1.0.0"
# A champion that is as good as the one before is approved within seconds: what heals is to be seen, not judged.
QUICK_ANALYSIS = {"interval": "1s", "windows": 2, "failureLimit": 2, "minSamples": 40, "latencyFloor": "400ms"}
# Batches are looked for without rest, and what is missing is soon asked for again.
INGEST = ("--set=ingest.enabled=true", "--set=ingest.pollInterval=1s", "--set=ingest.askAfter=5s")
HEALED_WITHIN = 90.0  # seconds, on a busy machine
TOLD_WITHIN = 60.0


@dataclass
class World:
    """The installed world. `champion` is the version that every request is to be answered with right now."""

    story: Story
    champion: str = FIRST
    _minor: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def lab(self) -> Lab:
        return self.story.lab

    @property
    def hub(self) -> Cluster:
        return self.story.platform.hub

    @property
    def site(self) -> LabCluster:
        cluster = self.story.sites[SITE]
        assert isinstance(cluster, LabCluster)
        return cluster

    # -- what people do ----------------------------------------------------------------------------------------------

    def bundle(self, model: bytes | None = None, *, padding: int = 0, instead: bytes | None = None) -> BundleFolder:
        """Package, sign and push the next version; `instead` takes the model's place after packaging, duly signed."""
        version = f"1.{next(self._minor)}.0"
        author = self.story.author
        trained, folder = author.work / "trained" / f"{version}.onnx", author.bundle(version)
        trained.write_bytes(model or noted(author.model_bytes(FIRST), version, padding))
        package_model(trained, folder, model=MODEL, version=version, created_at=datetime.now(UTC))
        if instead is not None:
            (folder / MODEL_FILE).write_bytes(instead)
            manifest = json.loads((folder / MANIFEST_FILE).read_text())
            manifest["files"][0] |= {"digest": digests.of_bytes(instead), "size": len(instead)}
            (folder / MANIFEST_FILE).write_bytes(canonical_json(manifest))
        self._sign(read_bundle(folder))
        bundle, store = read_bundle(folder), self.story.platform.store()
        push(store, bundle, storage_uri_of(store, bundle.manifest))
        return bundle

    def _sign(self, bundle: BundleFolder) -> None:
        sigstore = self.story.author.sigstore
        signature = sign_manifest(
            bundle.manifest_bytes,
            model=MODEL,
            version=bundle.manifest.version,
            identity_token=sigstore.token(MODEL_TEAM),
            trust_config=sigstore.trust_config_json,
        )
        write_signature(bundle, signature)

    def release(self, bundle: BundleFolder) -> dict[str, Any]:
        """The ModelRelease of a bundle, as `skerry push` writes it."""
        store = self.story.platform.store()
        return release_of(bundle, storage_uri_of(store, bundle.manifest), NAMESPACE)

    def apply(self, bundle: BundleFolder) -> str:
        """Apply a bundle's ModelRelease; its version."""
        self.story.hub.apply(yaml.safe_dump(self.release(bundle)))
        return bundle.manifest.version

    def patch_model(self, spec: dict[str, Any]) -> None:
        """Change the Model's spec."""
        patch = json.dumps({"spec": spec})
        self.hub.kubectl("patch", "model", MODEL, f"--namespace={NAMESPACE}", "--type=merge", f"--patch={patch}")

    @contextmanager
    def login_page(self) -> Iterator[None]:
        """In the store's place, while it is down: a proxy's login page, at the same address."""
        address = urlsplit(self.lab.store.endpoint)
        command = [sys.executable, "-m", "tests.e2e.faults.login_page", str(address.hostname), str(address.port)]
        page = self.hub.exec(command, cwd=ROOT)
        try:
            wait_for("the login page answers", self._page_answers, seconds=30)
            yield
        finally:
            page.terminate()
            page.wait(timeout=10)

    def _page_answers(self) -> bool:
        try:
            answer = urllib3.request("GET", self.lab.store.endpoint, retries=False)
        except urllib3.exceptions.HTTPError:
            return False
        return answer.headers.get("Content-Type", "").startswith("text/html")

    # -- what people see ---------------------------------------------------------------------------------------------

    def release_status(self, version: str) -> dict[str, Any]:
        """Status of a version's ModelRelease."""
        status: dict[str, Any] = self.story.hub.release(version).get("status", {})
        return status

    def node_status(self) -> dict[str, Any]:
        """Status of the site's RuntimeNode."""
        return self.story.node_status(SITE)

    def grant(self) -> StoreGrant:
        """What the hub lets the site do at the store right now."""
        return _grant(self.hub, f"skerry-site-{SITE}")

    def grant_at_site(self) -> StoreGrant:
        """The same as the site has it, from which its sync works."""
        return _grant(self.site, RUNTIME)

    def wait_trouble(self, status: Callable[[], dict[str, Any]], kind: str, reason: str) -> str:
        """Wait until an object is Stalled or Reconciling (`kind`) for this reason; the message, which is never empty.

        Meanwhile and then, the champion serves.
        """
        wait_for(f"{kind} {reason}", lambda: trouble(status()) == (kind, reason), seconds=TOLD_WITHIN, every=0.5)
        self.wait_champion()
        found = conditions(status())[kind]
        assert found["message"]
        return str(found["message"])

    def wait_champion(self) -> None:
        """Wait until all answers of a whole second are the champion's."""
        self.story.wait_answers(SITE, self.champion, 10)

    def wait_healed(self, version: str) -> None:
        """Wait until a version is approved and the champion, and the node is as it should be."""
        self.story.hub.wait_phase(version, "Approved", HEALED_WITHIN)
        self.story.wait_answers(SITE, version, HEALED_WITHIN)
        wait_for("the node has settled", lambda: not any(trouble(self.node_status())), seconds=HEALED_WITHIN, every=0.5)
        self.champion = version

    def pods(self) -> dict[tuple[str, str], tuple[str, int]]:
        """UID and restarts of every pod of ours, hub's and site's."""
        found = {}
        for cluster, namespace in ((self.hub, SYSTEM), (self.site, SYSTEM), (self.site, RUNTIME)):
            got = cluster.kubectl("get", "pods", f"--namespace={namespace}", "--output=json")
            for pod in json.loads(got.stdout)["items"]:
                restarts = sum(each["restartCount"] for each in pod["status"].get("containerStatuses", []))
                found[cluster.name, pod["metadata"]["name"]] = (pod["metadata"]["uid"], restarts)
        return found

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """Whatever happens inside: no request fails, and no pod is replaced or restarted."""
        pods, begun = self.pods(), time.time()
        yield
        asked = self.story.traffic[SITE].since(begun)
        failures = [entry.failure for entry in asked if entry.failure]
        assert asked
        assert not failures, f"{len(failures)} of {len(asked)} requests failed, first: {failures[0]}"
        assert self.pods() == pods


def conditions(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """An object's conditions by type."""
    return {condition["type"]: condition for condition in status.get("conditions", [])}


def trouble(status: dict[str, Any]) -> tuple[str, str]:
    """Which of Stalled and Reconciling is True, and its reason; empty if neither is."""
    for kind in ("Stalled", "Reconciling"):
        condition = conditions(status).get(kind, {})
        if condition.get("status") == "True":
            return kind, condition["reason"]
    return "", ""


def _grant(cluster: Cluster, namespace: str) -> StoreGrant:
    secret = cluster.kubectl("get", "secret", "store-grant", f"--namespace={namespace}", "--output=json")
    return StoreGrant.model_validate_json(base64.b64decode(json.loads(secret.stdout)["data"]["grant.json"]))


@contextmanager
def installed(lab: Lab) -> Iterator[World]:
    """Fresh clusters, images, a small disk for models, hub and site by Helm, the first release, and traffic."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    narrator = Narrator()
    with PrivateSigstore.start(WORK / "sigstore") as sigstore, ThreadPoolExecutor(2) as aside:
        author = Author(WORK, sigstore)
        (WORK / "trust_config.json").write_bytes(sigstore.trust_config_json)
        first = aside.submit(author.make, FIRST)
        images = _clusters(lab, narrator.say)
        site_is_ready = aside.submit(_prepare_site, lab, images)
        platform = Platform(lab, sigstore, WORK)
        platform.make_keys()
        platform.make_bucket()
        _give(lab.clusters["hub"], images, "operator", "ingest")
        platform.install_hub(*INGEST)
        site_is_ready.result()
        platform.add_site(SITE)
        first.result()
        world = World(Story(lab, platform, author, narrator, WORK))
        _be_quick(world)
        platform.wait_reachable(SITE)
        world.story.release(FIRST)
        world.story.hub.wait_phase(FIRST, "Approved", 180)
        traffic = world.story.traffic[SITE]
        traffic.send_rows_of(world.story.data.held_out)
        traffic.start(world.story.reach[SITE])
        try:
            world.wait_champion()
            yield world
        finally:
            traffic.stop()


def _clusters(lab: Lab, say: Callable[[str], None]) -> dict[str, Path]:
    """Bring up fresh clusters; the images that go onto them, archives by tag."""
    # Others may be left of a run that was killed.
    if lab.clusters.keys() - set(DEFAULT_CLUSTERS) or any(_is_used(cluster) for cluster in lab.clusters.values()):
        lab.down(progress=say)
    lab.up(clusters=("hub", SITE), progress=say)
    return product_images(ImageBuilder(lab.layout.cache, say), ROOT)


def _prepare_site(lab: Lab, images: Mapping[str, Path]) -> None:
    site = lab.clusters[SITE]
    assert isinstance(site, LabCluster)
    site.mount_small_disk(DISK, DISK_BYTES)
    _give(site, images, "edge", "operator")


def _give(cluster: Cluster, images: Mapping[str, Path], *names: str) -> None:
    for tag, archive in images.items():
        if tag.startswith(tuple(f"skerry-{name}:" for name in names)):
            cluster.import_images(archive)


def _is_used(cluster: Cluster) -> bool:
    return cluster.kubectl("get", "namespace", SYSTEM, check=False).returncode == 0


def _be_quick(world: World) -> None:
    world.patch_model({"analysis": QUICK_ANALYSIS})
    patch = json.dumps({"spec": {"rolloutStrategy": {"minSuccessTime": "0s"}}})
    world.hub.kubectl("patch", "rolloutrings", "internal", "fleet", "--type=merge", f"--patch={patch}")
