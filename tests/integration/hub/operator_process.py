"""The real hub operator as a process, and the hands of a release author, a security owner and a site around it."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import yaml

from skerry_core.bundle.feature_inputs import FeatureBinding
from skerry_core.bundle.folder import BundleFolder, read_bundle, write_signature
from skerry_core.bundle.package import package_model
from skerry_core.bundle.publish import push
from skerry_core.bundle.signing import sign_manifest
from skerry_core.store.location import open_store
from skerry_core.trust.assignment import open_assignment
from skerry_core.trust.keys import generate_key_pair
from skerry_core.trust.policy import Binding, PolicyDocument, SignerIdentity
from skerry_core.trust.policy_envelope import seal_policy
from tests.cluster.lab.waiting import wait_for
from tests.integration.inference.models import good
from tests.integration.ports import free_port

ROOT = Path(__file__).parents[3]
AUTHOR = "author@example.test"
NAMESPACE = "factory"
HEARTBEAT_SECONDS = 2
PATIENCE = 60
# The hub's chart brings it. With the chart's label, its tests remove it even when a killed run has left it.
SITE_ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "skerry-site", "labels": {"app.kubernetes.io/part-of": "skerry"}},
    "rules": [],
}


class HubOperator:
    """Starts with CRDs and an empty hub, ends with what it made removed."""

    def __init__(self, cluster, sigstore, folder: Path) -> None:
        self.cluster, self.sigstore, self.folder = cluster, sigstore, folder
        self.store = open_store(f"file://{folder / 'store'}")
        self.hub_key, self.policy_key = generate_key_pair(), generate_key_pair()
        self.log = folder / "hub.log"
        self.sites: dict[str, Site] = {}
        trust = folder / "trust"
        trust.mkdir()
        (folder / "store").mkdir()
        (trust / "trusted_root.json").write_bytes(sigstore.trusted_root_json)
        (trust / "policy.pub").write_bytes(self.policy_key.public_pem)
        (folder / "hub.key").write_bytes(self.hub_key.private_pem)

    def __enter__(self) -> Self:
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
        self.cluster.kubectl("wait", "--for=condition=Established", "-f", str(ROOT / "crds"))
        self.cluster.kubectl("create", "namespace", NAMESPACE, check=False)
        self.apply(SITE_ROLE)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for site in self.sites.values():
            site.stop()
        self.stop()
        for kind in (
            "models",
            "modelreleases",
            "rolloutrings",
            "featuresets",
            "syncpolicies",
            "trustpolicies",
            "quarantines",
            "edgesites",
            "siteclasses",
        ):
            self.cluster.kubectl("delete", f"{kind}.skerry.dev", "--all", "--all-namespaces", check=False)
        # Waited for: the next operator of these tests makes namespaces of the same names.
        namespaces = [NAMESPACE, *(f"skerry-site-{site}" for site in self.sites)]
        self.cluster.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--timeout=90s")
        self.cluster.kubectl("delete", "clusterrole", "skerry-site", "--ignore-not-found")

    def start(self) -> None:
        port = free_port()
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "NO_PROXY": "*",
            "SKERRY_STORE_URI": self.store.uri,
            "SKERRY_TRUST_DIR": str(self.folder / "trust"),
            "SKERRY_HUB_KEY_FILE": str(self.folder / "hub.key"),
            "SKERRY_LIVENESS": f"http://127.0.0.1:{port}/healthz",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "skerry_operator.hub"], env=environment, stdout=log, stderr=log
            )

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()

    # People

    def apply(self, *documents: dict) -> None:
        self.cluster.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(documents))

    def skerry(self, kind: str, name: str, spec: dict, namespace: str | None = None, **labels: str) -> None:
        metadata = {"name": name, "labels": labels} | ({"namespace": namespace} if namespace else {})
        self.apply({"apiVersion": "skerry.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})

    def trust(self, serial: int = 1) -> None:
        identity = SignerIdentity(subject=AUTHOR, issuer=self.sigstore.issuer)
        document = PolicyDocument(
            serial=serial,
            issued_at=datetime.now(UTC),
            bindings=(Binding(namespace=NAMESPACE, models=("har*",), identities=(identity,)),),
        )
        self.skerry("TrustPolicy", "fleet", {"envelope": seal_policy(document, self.policy_key.private_pem)})

    def bundle(
        self,
        model: str,
        version: str,
        *,
        signer: str | None = AUTHOR,
        signed_as: str | None = None,
        features: tuple[FeatureBinding, ...] = (),
    ):
        """Package and sign a real model; unsigned without a signer. Nodes fill its input `x` from `features`."""
        folder = self.folder / f"bundle-{model}-{version}-{secrets.token_hex(3)}"
        file = self.folder / f"{folder.name}.onnx"
        file.write_bytes(good(nudge=int.from_bytes(os.urandom(2)) / 1e6))
        package_model(
            file, folder, model=signed_as or model, version=version, created_at=datetime.now(UTC), features=features
        )
        bundle = read_bundle(folder)
        return bundle if signer is None else self.sign(bundle, signer)

    def sign(self, bundle: BundleFolder, signer: str = AUTHOR) -> BundleFolder:
        """The bundle with its signature."""
        signature = sign_manifest(
            bundle.manifest_bytes,
            model=bundle.manifest.model,
            version=bundle.manifest.version,
            identity_token=self.sigstore.token(signer),
            trust_config=self.sigstore.trust_config_json,
        )
        write_signature(bundle, signature)
        return read_bundle(bundle.folder)

    def release(self, model: str, version: str, bundle=None, *, uri: str | None = None, **spec: object) -> str:
        """Push a bundle and create its ModelRelease; returns the object's name."""
        bundle = bundle or self.bundle(model, version)
        uri = uri or f"{self.store.uri}/models/{model}/{version}"
        if bundle.signature is not None:
            push(self.store, bundle, uri)
        name = f"{model}-{version}"
        content = {"model": model, "version": version, "storageUri": uri, "digest": bundle.digest, **spec}
        self.skerry("ModelRelease", name, content, NAMESPACE)
        return name

    def site(self, name: str, **labels: str) -> "Site":
        self.skerry("EdgeSite", name, {"hubAcceptsClient": True, "siteClassName": "lab"}, **labels)
        self.sites[name] = Site(self, name)
        return self.sites[name]

    # What is seen

    def get(self, kind: str, name: str, namespace: str | None = NAMESPACE) -> dict:
        scope = [f"--namespace={namespace}"] if namespace else []
        return json.loads(self.cluster.kubectl("get", f"{kind}.skerry.dev", name, *scope, "--output=json").stdout)

    def phase(self, release: str) -> str:
        return self.get("modelreleases", release).get("status", {}).get("phase", "")

    def until(self, what: str, condition, seconds: float = PATIENCE) -> None:
        wait_for(what, condition, seconds=seconds, every=0.3, log=self.log, gone=self._gone)

    def until_phase(self, release: str, phase: str) -> None:
        self.until(f"{release} is {phase}", lambda: self.phase(release) == phase)

    def _gone(self) -> str | None:
        return None if self.process.poll() is None else f"the operator exited with {self.process.returncode}"


class Site:
    """Plays a site: reports on a heartbeat what it was told, with the outcome that the test wants."""

    def __init__(self, operator: HubOperator, name: str) -> None:
        self._operator, self.name = operator, name
        self.namespace = f"skerry-site-{name}"
        self.bad: set[str] = set()
        self.canary: set[str] = set()
        self._serving: dict[str, dict] = {}
        self._judged: list[str] = []
        self._away = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        self._away.set()

    def join(self) -> None:
        self._away.clear()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def assignment(self) -> dict | None:
        scope = ["siteassignments.skerry.dev", "current", f"--namespace={self.namespace}", "--ignore-not-found"]
        found = self._operator.cluster.kubectl("get", *scope, "--output=json").stdout
        return json.loads(found) if found else None

    def told(self):
        """What the signed envelope says; None before there is one."""
        if (found := self.assignment()) is None:
            return None
        return open_assignment(found["spec"]["envelope"], self._operator.hub_key.public_pem, site=self.name, last=None)

    def versions(self) -> dict[str, str]:
        document = self.told()
        return {entry.name: entry.target.version for entry in document.models} if document else {}

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            if self._away.is_set():
                continue
            with suppress(Exception):
                document = self.told()
                if document is not None:
                    self._report(document)

    def _report(self, document) -> None:
        now = datetime.now(UTC)
        status = {
            "observedGeneration": 1,
            "observedSerial": document.serial.to_wire(),
            "reportedAt": now.isoformat(),
            "nodes": 1,
            "nodesReady": 1,
            "models": [self._model(entry, now) for entry in document.models],
        }
        body = json.dumps({"status": status})
        target = ["siteassignments.skerry.dev", "current", f"--namespace={self.namespace}"]
        self._operator.cluster.kubectl("patch", *target, "--subresource=status", "--type=merge", "--patch", body)

    def _model(self, entry, now: datetime) -> dict:
        """Serving the target since long ago, or still the one before."""
        target = entry.target
        report = {"namespace": entry.namespace, "model": entry.name, "targetDigest": target.digest}
        if target.version in self.bad and target.digest not in self._judged:
            self._judged.append(target.digest)
        if target.digest in self._judged:
            why = {"name": "disagreement", "observed": 0.31, "limit": 0.05}
            report |= {"phase": "RolledBack", "failedMetric": why, "reason": "disagreement"}
        elif target.version in self.canary:
            report |= {"phase": "Canary"}
        else:
            report |= {"phase": "Serving"}
            self._serving[entry.name] = {
                "servingDigest": target.digest,
                "servingVersion": target.version,
                "servingSince": (now - timedelta(hours=1)).isoformat(),
            }
        return report | self._serving.get(entry.name, {}) | {"quarantined": self._judged}
