"""Sets the stage: what needs no cluster runs while Kubernetes is built and started."""

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from skerry_core.bundle.folder import SIGNATURE_FILE, read_bundle
from skerry_core.trust.policy import Binding, PolicyDocument, SignerIdentity
from skerry_core.trust.verifier import ReleaseVerifier
from tests.cluster.lab import Lab
from tests.cluster.lab.images import ImageBuilder, product_images
from tests.e2e.story.author import Author
from tests.e2e.story.narration import Narrator
from tests.e2e.story.platform import MODEL, MODEL_TEAM, NAMESPACE, ROOT, Platform
from tests.e2e.story.story import Story
from tests.e2e.story.training import RECIPES
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
            for tag, archive in _images(lab, narrator.say).items():
                for cluster in lab.clusters.values():
                    if cluster.hands:
                        cluster.import_images(archive)
                narrator.say(f"{tag} is on every node")
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
    """Train, package, sign and verify all five versions; needs no cluster."""
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


def _fresh_clusters(lab: Lab, say: Callable[[str], None]) -> None:
    if lab.hands and lab.clusters:
        say("a lab is up already: it is taken down, the story starts on fresh clusters")
        lab.down(progress=say)
    lab.up(progress=say)


def _images(lab: Lab, say: Callable[[str], None]) -> dict[str, Path]:
    return product_images(ImageBuilder(lab.layout.cache, say), ROOT) if lab.hands else {}


def _install(platform: Platform, say: Callable[[str], None]) -> None:
    platform.make_keys()
    platform.make_bucket()
    begun = time.monotonic()
    platform.install_hub()
    say(f"the hub is installed, {time.monotonic() - begun:.1f} s")
    with ThreadPoolExecutor(len(platform.sites)) as pool:
        list(pool.map(platform.add_site, platform.sites))
    for site in platform.sites:
        platform.wait_reachable(site)
        say(f"{site} enrolled with a certificate of its own and is reachable")
