"""One node without a cluster: the real inference process, and the hands of sync, hub and release author around it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_core import digest as digests
from skerry_core.assignment.document import (
    AnalysisLimits,
    AssignmentDocument,
    GuardrailLimits,
    ModelAssignment,
    ReleaseRef,
    RemovedModel,
    RuntimeTemplate,
)
from skerry_core.bundle.manifest import Manifest
from skerry_core.bundle.package import package_model
from skerry_core.bundle.signing import sign_manifest
from skerry_core.canonical import canonical_json
from skerry_core.drift.limits import DriftLimits
from skerry_core.durable import write_file
from skerry_core.features.definition import FeatureInput
from skerry_core.trust.assignment import seal_assignment
from skerry_core.trust.keys import generate_key_pair
from skerry_core.trust.policy import Binding, PolicyDocument, SignerIdentity
from skerry_core.trust.policy_envelope import seal_policy
from tests.integration.ports import free_port
from tests.sigstore_instance import PrivateSigstore

AUTHOR = "author@example.test"
ANALYSIS = AnalysisLimits(
    canary_fraction=1.0,
    interval=timedelta(seconds=1),
    windows=2,
    failure_limit=1,
    min_samples=60,
    max_disagreement_excess=0.05,
    max_disagreement=0.5,
    max_error_rate=0.2,
    max_latency_ratio=3,
    latency_floor=timedelta(milliseconds=20),
    guardrails=GuardrailLimits(max_trips=3, window=timedelta(minutes=1), latency_limit=timedelta(milliseconds=500)),
)
_DEADLINE = 180.0


def assigned(name: str, target: ReleaseRef, approved: ReleaseRef | None = None, **changes: Any) -> ModelAssignment:
    """What an assignment says of one model."""
    said = {"analysis": ANALYSIS, **changes}
    return ModelAssignment(namespace="team", name=name, served_name=name, target=target, approved=approved, **said)


class Node:
    """Folders like a node's, keys like a hub's, and a process that knows nothing of either being a test."""

    def __init__(self, root: Path, sigstore: PrivateSigstore, site: str = "site-a", name: str = "node-1") -> None:
        self.site, self.name = site, name
        self.root = root / "skerry"
        self.store = self.root / "store"
        self.state = self.root / "inference"
        (self.store / "blobs" / "sha256").mkdir(parents=True)
        self._bundles = root / "bundles"
        self._sigstore = sigstore
        self.issuer = sigstore.issuer
        self.hub_key, self.policy_key = generate_key_pair(), generate_key_pair()
        self._trust = root / "trust"
        self._trust.mkdir()
        (self._trust / "trusted_root.json").write_bytes(sigstore.trusted_root_json)
        (self._trust / "hub.pub").write_bytes(self.hub_key.public_pem)
        (self._trust / "policy.pub").write_bytes(self.policy_key.public_pem)
        self.http_port, self.status_port, self.events_port = free_port(), free_port(), free_port()
        self.mqtt_dir, self.devices_dir = root / "mqtt", root / "devices"
        self.log_path = root / "inference.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._serial = 0
        self.policy = self.put_policy(1)

    # The security owner, the release author, the hub and sync

    def put_policy(self, serial: int, **changes: Any) -> str:
        identity = SignerIdentity(subject=AUTHOR, issuer=self.issuer)
        document = PolicyDocument(
            serial=serial,
            issued_at=datetime.now(UTC),
            bindings=(Binding(namespace="team", models=("har",), identities=(identity,)),),
        ).model_copy(update=changes)
        self.policy = self.put_blob(seal_policy(document, self.policy_key.private_pem).encode())
        return self.policy

    def put_blob(self, data: bytes) -> str:
        digest = digests.of_bytes(data)
        write_file(self.blob_path(digest), data)
        return digest

    def blob_path(self, digest: str) -> Path:
        return self.store / "blobs" / "sha256" / digests.hex_of(digest)

    def release(
        self,
        version: str,
        model: bytes,
        *,
        signer: str = AUTHOR,
        name: str = "har",
        features: tuple[FeatureInput, ...] = (),
        validation: dict[str, np.ndarray] | None = None,
    ) -> ReleaseRef:
        """Package, sign and bring a release to the node's store folder; `features` fill its inputs."""
        folder = self._bundles / f"{name}-{version}-{digests.of_bytes(model)[-8:]}"
        folder.parent.mkdir(exist_ok=True)
        file = folder.parent / f"{folder.name}.onnx"
        file.write_bytes(model)
        package_model(file, folder, model=name, version=version, created_at=datetime.now(UTC), validation=validation)
        manifest = (folder / "manifest.json").read_bytes()
        if features:
            packaged = Manifest.model_validate_json(manifest)
            manifest = canonical_json(packaged.model_copy(update={"features": features}))
        signature = sign_manifest(
            manifest,
            model=name,
            version=version,
            identity_token=self._sigstore.token(signer),
            trust_config=self._sigstore.trust_config_json,
        )
        for entry in Manifest.model_validate_json(manifest).files:
            self.put_blob((folder / entry.path).read_bytes())
        return ReleaseRef(
            release=f"{name}-{version}".replace(".", "-"),
            version=version,
            digest=self.put_blob(manifest),
            signature=self.put_blob(signature),
        )

    def model_blob(self, release: ReleaseRef) -> Path:
        manifest = json.loads(self.blob_path(release.digest).read_bytes())
        return self.blob_path(manifest["files"][0]["digest"])

    def envelope(
        self,
        target: ReleaseRef | None,
        approved: ReleaseRef | None = None,
        *,
        analysis: AnalysisLimits = ANALYSIS,
        quarantined: tuple[str, ...] = (),
        removals: tuple[RemovedModel, ...] = (),
        serial: int | None = None,
        site: str | None = None,
        sync_policy: str | None = None,
        feature_sets: tuple[str, ...] = (),
        drift: DriftLimits | None = None,
        others: tuple[ModelAssignment, ...] = (),
    ) -> str:
        if serial is None:
            self._serial += 1
        models = others
        if target is not None:
            har = assigned("har", target, approved, analysis=analysis, drift=drift, quarantined=quarantined)
            models = (har, *others)
        document = AssignmentDocument(
            site=site or self.site,
            serial=Serial(incarnation=1, n=self._serial if serial is None else serial),
            issued_at=datetime.now(UTC),
            trust_policy=self.policy,
            sync_policy=sync_policy,
            runtime=RuntimeTemplate.model_validate({"image": "edge", "resources": {}}),
            models=models,
            feature_sets=feature_sets,
            removals=removals,
        )
        return seal_assignment(document, self.hub_key.private_pem)

    def assign(self, target: ReleaseRef | None, approved: ReleaseRef | None = None, **changes: Any) -> None:
        self.write_assignment(self.envelope(target, approved, **changes))

    def write_assignment(self, envelope: str) -> None:
        write_file(self.store / "assignment.json", json.dumps({"envelope": envelope}).encode())

    def restrict(self, *barred: str) -> None:
        write_file(self.store / "restrictions.json", json.dumps({"quarantined": {"team/har": list(barred)}}).encode())

    # The kubelet

    def start(self) -> None:
        environment = {
            **os.environ,
            "SKERRY_SITE": self.site,
            "SKERRY_NODE": self.name,
            "SKERRY_ROOT": str(self.root),
            "SKERRY_TRUST_DIR": str(self._trust),
            "SKERRY_HTTP_PORT": str(self.http_port),
            "SKERRY_STATUS_PORT": str(self.status_port),
            "SKERRY_EVENTS_PORT": str(self.events_port),
            "SKERRY_MQTT_DIR": str(self.mqtt_dir),
            "SKERRY_DEVICES_DIR": str(self.devices_dir),
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "skerry_edge.inference"], env=environment, stdout=log, stderr=log
            )
        self.wait(lambda: self.get("/livez", status=True)[0] == 200)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    # Clients

    def get(self, path: str, *, status: bool = False) -> tuple[int, bytes]:
        return self._request("GET", path, port=self.status_port if status else self.http_port)

    def infer(self, rows: np.ndarray, request: str | None = None, path: str = "/v2/models/har/infer"):
        body = {"inputs": [{"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}]}
        if request is not None:
            body["id"] = request
        status, answer = self._request("POST", path, json.dumps(body).encode())
        return status, json.loads(answer)

    def _request(self, method: str, path: str, body: bytes | None = None, port: int | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.http_port, timeout=10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        except OSError:
            return 0, b"{}"
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        return json.loads(self.get("/status", status=True)[1] or b"{}")

    def model(self, name: str = "") -> dict[str, Any]:
        models = self.status().get("models") or [{}]
        return next((model for model in models if model.get("model", "").startswith(name)), {})

    def wait(self, condition: Callable[[], Any], seconds: float = _DEADLINE) -> Any:
        """Ask until it holds; a real process on a busy machine has no clock that a test could turn."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not in {seconds} s: {self.status()}\n{self.log_path.read_text()[-4000:]}")
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the process ended: {self.log_path.read_text()[-4000:]}")
            time.sleep(0.02)
        return found

    def wait_phase(self, phase: str, serving: ReleaseRef | None = None, name: str = "") -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            model = self.model(name)
            matches = model.get("phase") == phase and (serving is None or model.get("servingDigest") == serving.digest)
            return model if matches else None

        return self.wait(there)
