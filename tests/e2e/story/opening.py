"""Sets the stage: what needs no cluster runs while Kubernetes is built and started."""

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from skerry_core.bundle.folder import SIGNATURE_FILE, read_bundle
from skerry_core.trust.policy import Binding, PolicyDocument, SignerIdentity
from skerry_core.trust.verifier import ReleaseVerifier
from tests.cluster.lab import Cluster, Lab
from tests.cluster.lab.images import ImageBuilder, product_images
from tests.cluster.lab.requirements import BROKER_COMMANDS, ensure
from tests.e2e.story import ask
from tests.e2e.story.author import Author
from tests.e2e.story.dataset import load
from tests.e2e.story.narration import Narrator
from tests.e2e.story.network import TOLERANCE, run
from tests.e2e.story.platform import BROKER_PORT, MODEL, MODEL_TEAM, MOTION, NAMESPACE, ROOT, SYSTEM, Platform
from tests.e2e.story.story import Story
from tests.e2e.story.training import RECIPES
from tests.integration.inference.node import Node
from tests.sigstore_instance import PrivateSigstore

WORK = ROOT / "build" / "story"


@contextmanager
def opened(narrator: Narrator, lab: Lab, *, work: Path = WORK) -> Iterator[Story]:
    """A story whose hub and sites stand and are reachable, with fresh clusters if they are the lab's own."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with PrivateSigstore.start(work / "sigstore") as sigstore, ThreadPoolExecutor(1) as desk:
        (work / "trust_config.json").write_bytes(sigstore.trust_config_json)
        author = Author(work, sigstore)
        bundles = desk.submit(_write_bundles, author, narrator)
        with narrator.chapter("Kubernetes: a hub and two sites, each a whole cluster"):
            _fresh_clusters(lab, narrator.say)
            _give_images(lab, narrator.say)
        with narrator.chapter("The model team's desk: train, package, sign (private Sigstore test instance), verify"):
            bundles.result()
        platform = Platform(lab, sigstore, work)
        with narrator.chapter("The platform team installs the hub and two sites with Helm"):
            _install(platform, narrator.say)
        story = Story(lab, platform, author, narrator, work)
        with ExitStack() as watch:
            for cluster in lab.clusters.values():
                if cluster.hands:
                    watch.enter_context(cluster.sampled_working_sets(every=2))
            watch.callback(story.stop_traffic)
            yield story


def _write_bundles(author: Author, narrator: Narrator) -> None:
    """Train, package, sign and verify all versions; needs no cluster."""
    identity = SignerIdentity(subject=MODEL_TEAM, issuer=author.sigstore.issuer)
    binding = Binding(namespace=NAMESPACE, models=(MODEL,), identities=(identity,))
    policy = PolicyDocument(serial=1, issued_at="2026-01-01T00:00:00Z", bindings=(binding,))
    verifier = ReleaseVerifier(author.sigstore.trusted_root_json)
    for recipe in RECIPES:
        begun = time.monotonic()
        bundle = read_bundle(author.make(recipe.version))
        verifier.verify(
            bundle.manifest_bytes, (bundle.folder / SIGNATURE_FILE).read_bytes(),
            namespace=NAMESPACE, model=MODEL, version=recipe.version, policy=policy,
        )  # fmt: skip
        expected = bundle.manifest.expected_disagreement
        measured = f"; expected to disagree with the release before it on {expected.rate:.1%}" if expected else ""
        took = time.monotonic() - begun
        narrator.say(
            f"v{recipe.version}, {recipe.summary}: trained, packaged, signed, verified in {took:.1f} s{measured}"
        )
        if recipe is RECIPES[0]:
            _serve_here(author, narrator, recipe.version)
    begun = time.monotonic()
    author.make_motion()
    took = time.monotonic() - begun
    narrator.say(f"{MOTION} v1.0.0, fed by features of the samples: trained, packaged, signed in {took:.1f} s")


def _serve_here(author: Author, narrator: Narrator, version: str) -> None:
    """Serve a release on this machine, by the very process that a site's pod runs."""
    desk = author.work / "desk"
    desk.mkdir()
    node = Node(desk, author.sigstore)
    try:
        release = node.release(version, author.model_bytes(version))
        node.assign(release)
        node.start()
        node.wait_phase("Serving", release)
        held_out = load().held_out.x
        np.save(desk / "question.npy", held_out)
        url = f"http://127.0.0.1:{node.http_port}/v2/models/har/infer"
        ask.main(url, desk / "question.npy", desk / "answer.npy")
        difference = float(np.abs(np.load(desk / "answer.npy") - run(author.model_bytes(version), held_out)).max())
    finally:
        node.close()
    narrator.show(
        f"v{version}, served on this machine, answers as bare onnxruntime does",
        difference <= TOLERANCE,
        f"{len(held_out)} windows, largest difference {difference:.1e}",
    )


def _broker(site: Cluster) -> list[str]:
    """Where the site's pods find the broker of its wearers' devices, which is started by who needs it."""
    return [f"--set=events.mqtt.url=mqtt://{site.address}:{BROKER_PORT}"] if site.hands else []


def _fresh_clusters(lab: Lab, say: Callable[[str], None]) -> None:
    if lab.hands and any(_is_used(cluster) for cluster in lab.clusters.values()):
        say("the lab's clusters are not fresh: it is taken down first")
        lab.down(progress=say)
    lab.up(progress=say)


def _is_used(cluster: Cluster) -> bool:
    """Whether Skerry was installed there before, or whether that can't be told."""
    found = cluster.kubectl("get", "namespace", SYSTEM, "--ignore-not-found", "--output=name", check=False)
    return found.returncode != 0 or bool(found.stdout)


def _give_images(lab: Lab, say: Callable[[str], None]) -> None:
    if not lab.hands:
        return
    ensure(BROKER_COMMANDS, say)
    hub, *_ = lab.clusters.values()
    archives = product_images(ImageBuilder(lab.layout.cache, say), ROOT)
    begun = time.monotonic()

    def give(cluster: Cluster) -> None:
        for name, archive in archives.items():
            if cluster is hub or not name.startswith("skerry-ingest:"):
                cluster.import_images(archive)

    with ThreadPoolExecutor(len(lab.clusters)) as pool:
        list(pool.map(give, lab.clusters.values()))
    say(f"{' and '.join(archives)} are on every node, {time.monotonic() - begun:.1f} s")


def _install(platform: Platform, say: Callable[[str], None]) -> None:
    platform.make_keys()
    platform.make_bucket()
    begun = time.monotonic()
    platform.install_hub("--set=ingest.enabled=true", "--set=ingest.pollInterval=2s")
    say(f"the hub is installed, {time.monotonic() - begun:.1f} s")
    with ThreadPoolExecutor(len(platform.sites)) as pool:
        list(pool.map(lambda site: platform.add_site(site, *_broker(platform.sites[site])), platform.sites))
    for site in platform.sites:
        platform.wait_reachable(site)
        say(f"{site} enrolled with a certificate of its own and is reachable")
