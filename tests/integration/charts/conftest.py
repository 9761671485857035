import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from skerry_core.trust.keys import KeyPair, generate_key_pair
from tests.cluster.lab import Cluster, LabError
from tests.cluster.lab.images import ImageBuilder, product_images
from tests.integration.charts.rendering import CHARTS
from tests.integration.site.hubside import HubSide, admin, install_hub_side
from tests.sigstore_instance.instance import PrivateSigstore
from tests.unit.charts.copy_crds import CHARTS as CRDS_OF_CHARTS

SYSTEM, RUNTIME = "skerry-system", "skerry-runtime"
_CRDS = sorted({f"{plural}.skerry.dev" for plurals in CRDS_OF_CHARTS.values() for plural in plurals})
_CLUSTER_WIDE = (
    "validatingadmissionpolicybindings",
    "validatingadmissionpolicies",
    "clusterrolebindings",
    "clusterroles",
    "priorityclasses",
)


@dataclass
class InstalledSite:
    """A site by its chart, on a cluster that is its own hub as well: the API server plays both ends of the link."""

    cluster: Cluster
    hub: HubSide
    hub_key: KeyPair

    def get(self, kind: str, name: str, namespace: str = RUNTIME) -> dict:
        found = self.cluster.kubectl("get", kind, name, f"--namespace={namespace}", "-o", "json", check=False)
        return json.loads(found.stdout) if found.stdout else {}

    def refusal(self, body: dict) -> str:
        """Why the API server doesn't take an object; empty if it would."""
        try:
            self.cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(body))
        except LabError as error:
            return str(error)
        return ""


@pytest.fixture(scope="session")
def images(lab, spare):
    """The product's images, in the spare cluster; their tags by name."""
    built = product_images(ImageBuilder(lab.layout.cache), CHARTS.parent, ("edge", "operator"))
    for archive in built.values():
        spare.import_images(archive)
    return {tag.removeprefix("skerry-").partition(":")[0]: tag for tag in built}


def label_system(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", SYSTEM)
    cluster.kubectl("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted")


def remove_all(cluster: Cluster) -> None:
    """What a person types to be rid of everything, after helm uninstall."""
    cluster.kubectl("delete", "namespace", SYSTEM, RUNTIME, "--ignore-not-found", "--timeout=120s")
    cluster.kubectl("delete", "crd", *_CRDS, "--ignore-not-found", "--timeout=60s")
    for kind in _CLUSTER_WIDE:
        cluster.kubectl("delete", kind, "--selector=app.kubernetes.io/part-of=skerry", "--ignore-not-found")


def _secret(cluster: Cluster, name: str, **data: str) -> None:
    literals = [f"--from-literal={key}={value}" for key, value in data.items()]
    cluster.kubectl("create", "secret", "generic", name, f"--namespace={SYSTEM}", *literals)


@contextmanager
def hub_chart(lab, cluster, trust, store, *options):
    """The chart skerry-hub, installed by Helm over a store; nothing of it is left."""
    remove_all(cluster)
    label_system(cluster)
    _secret(cluster, "skerry-hub-key", **{"hub.key": trust.hub_key.private_pem.decode()})
    _secret(cluster, "skerry-store", accessKey=lab.store.access_key, secretKey=lab.store.secret_key)
    values = (f"--set=store.uri={store}", f"--set=store.endpoint={lab.store.endpoint}", *trust.values, *options)
    chart = str(CHARTS / "skerry-hub")
    try:
        cluster.helm("install", "skerry-hub", chart, f"--namespace={SYSTEM}", "--wait", "--timeout=3m", *values)
        yield
    finally:
        cluster.helm("uninstall", "skerry-hub", f"--namespace={SYSTEM}", "--ignore-not-found")
        remove_all(cluster)


@dataclass
class Trust:
    """Anchors of trust in files, as arguments of Helm; and the key that signs assignments."""

    hub_key: KeyPair
    values: tuple[str, ...]


@pytest.fixture(scope="session")
def trust(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trust")
    hub_key = generate_key_pair()
    (folder / "hub.pub").write_bytes(hub_key.public_pem)
    (folder / "policy.pub").write_bytes(generate_key_pair().public_pem)
    with PrivateSigstore.start() as sigstore:
        (folder / "root.json").write_bytes(sigstore.trusted_root_json)
    files = {"trustedRoot": "root.json", "policyPublicKey": "policy.pub", "hubPublicKey": "hub.pub"}
    return Trust(hub_key, tuple(f"--set-file=trust.{value}={folder / name}" for value, name in files.items()))


@pytest.fixture(scope="module")
def site(spare, images, trust, tmp_path_factory):
    """The chart skerry-site, installed by Helm; its hub is made right after."""
    folder = tmp_path_factory.mktemp("site")
    remove_all(spare)
    hub_side = HubSide(admin(spare), spare, f"t{secrets.token_hex(4)}")
    label_system(spare)
    (folder / "ca.crt").write_text(spare.ca_pem)
    installed = InstalledSite(spare, hub_side, trust.hub_key)
    spare.helm(
        "install",
        "skerry-site",
        str(CHARTS / "skerry-site"),
        f"--namespace={SYSTEM}",
        "--wait",
        "--timeout=3m",
        f"--set=site.name={hub_side.site}",
        f"--set=hub.url={spare.api_url}",
        f"--set-file=hub.ca={folder / 'ca.crt'}",
        f"--set=bootstrap.token={hub_side.bootstrap_token()}",
        *trust.values,
    )
    install_hub_side(spare)
    hub_side.make_room()
    yield installed
    spare.helm("uninstall", "skerry-site", f"--namespace={SYSTEM}", "--ignore-not-found")
    remove_all(spare)
    hub_side.leave()
