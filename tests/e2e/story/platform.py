"""The platform team's part: trust, store, hub and sites, installed the way the README says."""

import os
from pathlib import Path

import yaml
from minio import Minio

from skerry_core.store.location import S3Access, open_store
from skerry_core.store.s3 import S3Store
from tests.cluster.lab import Cluster, Lab
from tests.cluster.lab.waiting import wait_for
from tests.e2e.story.command_line import skerry
from tests.sigstore_instance import PrivateSigstore

ROOT = Path(__file__).parents[3]
NAMESPACE = "wrist"
MODEL = "exercise"
# The same team may sign this one too, so that only the name on the signature can tell the two apart.
OTHER_MODEL = "posture"
# Fed by features of the samples that wearers' devices publish to their site's broker.
MOTION = "motion"
BROKER_PORT = 1883
BUCKET = "skerry"
SYSTEM = "skerry-system"
RUNTIME = "skerry-runtime"
RINGS = {"site-a": "internal", "site-b": "fleet"}
EDGE_IMAGE = "skerry-edge:0.1.0"
MODEL_TEAM = "models@wrist.example"


class Platform:
    """A hub and its sites in a lab. Every method may be called again; what stands is left alone."""

    def __init__(self, lab: Lab, sigstore: PrivateSigstore, work: Path) -> None:
        self.lab = lab
        # The first is the hub, whatever its context is called; the story has its own names for the others.
        self.hub, *sites = lab.clusters.values()
        self.sites: dict[str, Cluster] = dict(zip(RINGS, sites, strict=False))
        self.sigstore = sigstore
        self.work = work
        self.keys = work / "keys"

    # -- trust and store ---------------------------------------------------------------------------------------------

    def make_keys(self) -> None:
        """Make the hub's key and the policy key, which the hub never gets."""
        for holder in ("hub", "policy"):
            if not (self.keys / f"{holder}.key").exists():
                skerry("keys", "new", holder, "--out", self.keys)
        (self.work / "trusted_root.json").write_bytes(self.sigstore.trusted_root_json)
        (self.work / "trust_config.json").write_bytes(self.sigstore.trust_config_json)

    def policy(self, serial: int = 1, minimum_version: str | None = None) -> str:
        """A TrustPolicy that lets the model team sign the story's model, signed by the policy key."""
        document = {
            "serial": serial,
            "issuedAt": "2026-01-01T00:00:00Z",
            "bindings": [
                {
                    "namespace": NAMESPACE,
                    "models": [MODEL, OTHER_MODEL, MOTION],
                    "identities": [{"subject": MODEL_TEAM, "issuer": self.sigstore.issuer}],
                }
            ],
            "minimumVersions": [{"namespace": NAMESPACE, "model": MODEL, "version": minimum_version or "1.0.0"}],
        }
        path = self.work / "policy.yaml"
        path.write_text(yaml.safe_dump(document))
        return skerry("trust", "sign", path, "--key", self.keys / "policy.key")

    def make_bucket(self) -> None:
        """Make the bucket that hub and sites share."""
        store = self.lab.store
        scheme, _, host = store.endpoint.partition("://")
        client = Minio(host, store.access_key, store.secret_key, secure=scheme == "https", region=store.region)
        if not client.bucket_exists(BUCKET):
            client.make_bucket(BUCKET)

    def store_access(self) -> S3Access:
        """The platform team's own way to the store."""
        store = self.lab.store
        return S3Access(store.endpoint, store.access_key, store.secret_key, region=store.region)

    def store(self) -> S3Store:
        """The store with the platform team's own credentials."""
        opened = open_store(f"s3://{BUCKET}", self.store_access())
        assert isinstance(opened, S3Store)
        return opened

    def store_environment(self) -> dict[str, str]:
        """What `skerry push` needs to reach the store."""
        return {
            "AWS_ACCESS_KEY_ID": self.lab.store.access_key,
            "AWS_SECRET_ACCESS_KEY": self.lab.store.secret_key,
            "AWS_ENDPOINT_URL": self.lab.store.endpoint,
            "AWS_REGION": self.lab.store.region,
        }

    # -- hub ---------------------------------------------------------------------------------------------------------

    def install_hub(self, *options: str) -> None:
        """Helm-install the hub, perhaps with further options, and apply the platform team's YAML."""
        self._namespace(self.hub)
        self._secret("skerry-hub-key", {"hub.key": (self.keys / "hub.key").read_text()})
        self.put_store_keys()
        self.hub.helm(
            "upgrade", "--install", "skerry-hub", str(ROOT / "charts/skerry-hub"), f"--namespace={SYSTEM}",
            "--wait", "--timeout=3m", f"--set=store.uri=s3://{BUCKET}",
            f"--set=store.endpoint={self.lab.store.endpoint}", f"--set=store.region={self.lab.store.region}",
            *self._values(), *options,
        )  # fmt: skip
        manifests = (Path(__file__).parent / "manifests.yaml").read_text()
        self.hub.kubectl("apply", "--filename=-", input=manifests.replace(EDGE_IMAGE, self._registry + EDGE_IMAGE))
        self.hub.kubectl("apply", "--filename=-", input=self.policy())

    def put_store_keys(self) -> None:
        """Give the hub the key pair that the store knows."""
        self._secret("skerry-store", {"accessKey": self.lab.store.access_key, "secretKey": self.lab.store.secret_key})

    @property
    def _registry(self) -> str:
        """Where clusters of one's own pull the images from, with a slash; the lab's nodes have them."""
        registry = os.environ.get("IMAGE_REGISTRY", "")
        return f"{registry.rstrip('/')}/" if registry and not self.lab.hands else ""

    def _values(self) -> list[str]:
        return [
            f"--set=global.imageRegistry={self._registry.rstrip('/')}",
            f"--set-file=trust.trustedRoot={self.work / 'trusted_root.json'}",
            f"--set-file=trust.policyPublicKey={self.keys / 'policy.pub'}",
            f"--set-file=trust.hubPublicKey={self.keys / 'hub.pub'}",
        ]

    def _namespace(self, cluster: Cluster) -> None:
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": SYSTEM, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
        cluster.kubectl("apply", "--filename=-", input=yaml.safe_dump(namespace))

    def _secret(self, name: str, data: dict[str, str]) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": SYSTEM},
            "stringData": data,
        }
        self.hub.kubectl("apply", "--filename=-", input=yaml.safe_dump(secret))

    # -- sites -------------------------------------------------------------------------------------------------------

    def add_site(self, name: str, *options: str) -> None:
        """Accept a site at the hub, enroll it, and Helm-install it on its own cluster, perhaps with further options."""
        edge_site = {
            "apiVersion": "skerry.dev/v1alpha1",
            "kind": "EdgeSite",
            "metadata": {"name": name, "labels": {"ring": RINGS[name]}},
            "spec": {"hubAcceptsClient": True, "siteClassName": "gateway"},
        }
        self.hub.kubectl("apply", "--filename=-", input=yaml.safe_dump(edge_site))
        values = self.work / f"{name}-values.yaml"
        hub = {"KUBECONFIG": str(self.hub.kubeconfig)}
        skerry("enroll", name, "--apply", "--values", values, environment=hub)
        cluster = self.sites[name]
        self._namespace(cluster)
        cluster.helm(
            "upgrade", "--install", "skerry-site", str(ROOT / "charts/skerry-site"), f"--namespace={SYSTEM}",
            "--wait", "--timeout=3m", f"--values={values}", *self._values(), *options,
        )  # fmt: skip

    def wait_reachable(self, name: str, seconds: float = 120) -> None:
        """Wait until the hub hears of a site."""
        path = "jsonpath={.status.conditions[?(@.type=='Reachable')].status}"
        wait_for(
            f"{name} is reachable from the hub's point of view",
            lambda: self.hub.kubectl("get", "edgesite", name, f"--output={path}", check=False).stdout == "True",
            seconds=seconds,
            every=0.5,
        )
