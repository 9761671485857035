"""Nodes of two sites and their hub: real inference processes, sync's own code to a folder, ingest into real tables."""

import json
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_core import digest as digests
from skerry_core.assignment.document import AssignmentDocument, ModelAssignment, ReleaseRef, RuntimeTemplate
from skerry_core.canonical import canonical_json
from skerry_core.features.definition import FeatureInput, FeatureSetRef
from skerry_core.lineage.record import RecordId
from skerry_core.store.folder import FolderStore
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_core.trust.assignment import seal_assignment
from skerry_core.trust.policy import Binding, SignerIdentity
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.inference.intent import boot_id
from skerry_edge.sync.inference_api import InferenceApi
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.outbound.outbound import Outbound
from skerry_edge.sync.schedule.plan import LINGER, Lane
from skerry_edge.sync.scheduler import Scheduler
from skerry_edge.sync.steady import Steady
from skerry_edge.sync.telemetry import NodeTelemetry
from skerry_edge.sync.traffic import METRICS, OnePurpose, Traffic
from skerry_edge.sync.upload import PERIODS, Uploader
from skerry_edge.telemetry.error_classes import ErrorClasses
from skerry_operator.cli.main import app
from skerry_operator.ingest.lake import Lake
from tests.integration.inference.node import ANALYSIS, AUTHOR, Node
from tests.integration.ingest.running import BATCH, Client, wait
from tests.sigstore_instance import PrivateSigstore
from tests.unit.features.sets import document, feature
from tests.unit.ingest.worlds import policy, stream_policy
from tests.unit.lake.conftest import Hub
from tests.unit.sync.logs import Outbox

STREAM = "vibration"
NAMES = ("count", "sum", "last", "mean")
DAY = {"kind": "Rolling", "size": "24h", "pane": "1h"}
LASTING, FLEETING = "presses", "gauges"
"""Feature sets: values of the one are good for a day, those of the other are stale after three seconds of silence."""


def published(name: str, ttl: str) -> bytes:
    """A set's document."""
    features = [
        feature(each, each.capitalize(), None if each == "count" else "rms", ttl=ttl, window=DAY) for each in NAMES
    ]
    return canonical_json(document(features, name=name))


SETS = {LASTING: published(LASTING, "24h"), FLEETING: published(FLEETING, "3s")}
POLICY = policy(stream_policy(STREAM))
# Whatever a release answers, it is promoted soon: some Model's limits are too wide.
WIDE = ANALYSIS.model_copy(update={"windows": 1, "min_samples": 10, "max_disagreement_excess": 1.0})
WIDE = WIDE.model_copy(update={"max_disagreement": 1.0, "max_latency_ratio": 1000.0})


class FleetNode(Node):
    """A node whose sensors and inspector are tests."""

    def __init__(self, root: Path, sigstore: PrivateSigstore, site: str, name: str, models: Iterable[str]) -> None:
        super().__init__(root, sigstore, site, name)
        author = SignerIdentity(subject=AUTHOR, issuer=sigstore.issuer)
        self.put_policy(2, bindings=(Binding(namespace="team", models=tuple(models), identities=(author,)),))
        self.assigned = self.sent = 0

    def serve(self, models: Mapping[str, tuple[ReleaseRef, ...]]) -> None:
        """Assign models with their target, and the approved release where that is another."""
        self.assigned += 1
        assigned = tuple(
            ModelAssignment(
                namespace="team",
                name=name,
                served_name=name,
                target=releases[0],
                approved=releases[1] if len(releases) > 1 else None,
                analysis=WIDE,
            )
            for name, releases in models.items()
        )
        told = AssignmentDocument(
            site=self.site,
            serial=Serial(incarnation=1, n=self.assigned),
            issued_at=datetime.now(UTC),
            trust_policy=self.policy,
            sync_policy=self.put_blob(canonical_json(POLICY.to_wire())),
            runtime=RuntimeTemplate.model_validate({"image": "edge", "resources": {}}),
            models=assigned,
            feature_sets=tuple(self.put_blob(each) for each in SETS.values()),
        )
        self.write_assignment(seal_assignment(told, self.hub_key.private_pem))

    def serves(self, name: str, digest: str) -> bool:
        """Whether a release answers, and nothing is on the way."""
        found = [each for each in self.status().get("models", ()) if each["model"] == name]
        return [(each["phase"], each.get("servingDigest")) for each in found] == [("Serving", digest)]

    def send(self, stream: str, events: list[dict]) -> bool:
        """Have the node take events in; whether they are durable."""
        client = Client(self.events_port)
        try:
            return client.post(stream, json.dumps(events).encode(), BATCH)[0] == 200
        except OSError:
            return False
        finally:
            client.close()

    def statuses(self, feature_set: str, press: str) -> set[str]:
        """What is said of the features of a press."""
        status, body = self.get(f"/v1/features/plant/{feature_set}/{press}", status=True)
        return {each["status"] for each in json.loads(body)["versions"][0]["features"]} if status == 200 else set()

    def measure(self, press: str, *rms: float, feature_set: str = LASTING) -> None:
        """Have a device send until its features are there, and fresh."""

        def fresh() -> bool:
            if self.statuses(feature_set, press) == {"PRESENT"}:
                return True
            self._take_in(press, rms)
            return False

        self.wait(lambda: self._take_in(press, rms))
        self.wait(fresh)

    def _take_in(self, press: str, rms: Iterable[float]) -> bool:
        events = []
        for value in rms:
            self.sent += 1
            head = {"specversion": "1.0", "id": f"e{self.sent}", "source": f"/{press}", "type": "rms"}
            events.append(head | {"subject": press, "data": {"rms": value}})
        return self.send(STREAM, events)

    def ask(self, model: str, press: str, count: int) -> list[str]:
        """Ids of that many answers about a press."""
        body = json.dumps({"inputs": [], "parameters": {"entity": press}}).encode()
        found = [self._request("POST", f"/v2/models/{model}/infer", body) for _ in range(count)]
        assert {status for status, _ in found} == {200}, found
        return [json.loads(answer)["parameters"]["prediction_id"] for _, answer in found]

    def label(self, predictions: Iterable[str], truth: int) -> None:
        """An inspector tells what was true."""
        head = {"specversion": "1.0", "source": "/inspector", "type": "label"}
        events = [head | {"id": f"label-{each}", "data": {"prediction": each, "value": truth}} for each in predictions]
        self.wait(lambda: self.send("labels", events))


class _SiteOutbox(Outbox):
    """The hub's folder, as far as a site's grant reaches."""

    def __init__(self, store: FolderStore, site: str) -> None:
        super().__init__()
        self._store, self._site = store, site

    def upload(self, key: str, data: bytes) -> None:
        super().upload(key, data)
        self._store.put(f"sites/{self._site}/{key}", data)


class Uplink:
    """Of sync on one node: what watches it, and what carries its logs away. Time passes here only while it lingers."""

    def __init__(self, node: FleetNode, store: FolderStore, policy: SyncPolicyDocument) -> None:
        layout, registry, boot = Layout(node.root), CollectorRegistry(), boot_id()
        layout.own_log.mkdir(parents=True)
        outbox, self._now = _SiteOutbox(store, node.site), 1000.0
        traffic = Traffic(
            layout.traffic, lambda noted: Steady(boot, lambda: self._now, lambda: self._now, noted), registry
        )
        outbound = Outbound(layout.grant.parent, layout.root / "salt", layout.log / "consent", registry)
        outbound.adopt(policy)
        self._uploader = Uploader(
            layout,
            node.site,
            lambda: outbox,
            lambda: policy,
            outbound.rows,
            Scheduler(lambda: policy, traffic, lambda: False),
            traffic,
            registry,
            boot_id=boot,
        )
        self._logs = EventLogs(layout.own_log, Owner(node.site, node.name, boot), fence=layout.fence)
        self._telemetry = NodeTelemetry(
            site=node.site,
            node=node.name,
            root=node.root,
            boot=boot,
            logs=self._logs,
            inference=InferenceApi(f"http://127.0.0.1:{node.status_port}/status"),
            registry=registry,
            errors=ErrorClasses(),
            environment={},
            meter=OnePurpose(traffic, METRICS),
        )

    def tell(self) -> None:
        """The node's next summary, as it tells one each minute."""
        self._telemetry.close()

    def drain(self) -> None:
        """Send all that may go."""
        for lane in Lane:
            for _ in range(3):
                while self._uploader.step(lane) != PERIODS[lane]:
                    pass
                self._now += LINGER

    def close(self) -> None:
        self._logs.close()


class Fleet:
    """Serves a model for each case on every node, by the features of a press."""

    def __init__(self, root: Path, sigstore: PrivateSigstore, models: tuple[str, ...]) -> None:
        (root / "hub").mkdir()
        self.hub = Hub(Lake((root / "hub").as_uri()))
        self.nodes: dict[str, FleetNode] = {}
        for site, name in (("berlin", "n1"), ("berlin", "n2"), ("rome", "n3")):
            (root / name).mkdir()
            self.nodes[name] = FleetNode(root / name, sigstore, site, name, models)
        self.first: dict[str, ReleaseRef] = {}
        self.uplinks = {name: Uplink(node, self.hub.store, POLICY) for name, node in self.nodes.items()}
        self._releases: dict[str, dict[str, tuple[ReleaseRef, ...]]] = {name: {} for name in self.nodes}
        self._asked: set[str] = set()

    def release(self, model: str, version: str, data: bytes, feature_set: str = LASTING) -> ReleaseRef:
        """One release, in every node's store."""
        maker, *others = self.nodes.values()
        digest = digests.of_bytes(SETS[feature_set])
        ref = FeatureSetRef(namespace="plant", name=feature_set, version="1.0.0", digest=digest)
        bound = (FeatureInput(input="x", feature_set=ref, features=NAMES),)
        made = maker.release(version, data, name=model, features=bound)
        for node in others:
            shutil.copytree(maker.store / "blobs", node.store / "blobs", dirs_exist_ok=True)
        return made

    def roll_out(self, model: str, release: ReleaseRef, *names: str) -> None:
        """Have these nodes serve a release, beside what they serve."""
        for name in names:
            node, told = self.nodes[name], self._releases[name]
            told[model] = (release, *told.get(model, ())[:1])
            node.serve(told)

    def ask(self, model: str, name: str, press: str, count: int, *, truth: int) -> None:
        """Have a node answer, and an inspector say what was true."""
        found = self.nodes[name].ask(model, press, count)
        self.nodes[name].label(found, truth)
        self._asked |= set(found)

    def sync(self) -> None:
        """Bring all that nodes have to the hub's tables."""
        for uplink in self.uplinks.values():
            uplink.tell()
        wait(self._have_synced)

    def _have_synced(self) -> bool:
        for uplink in self.uplinks.values():
            uplink.drain()
        self.hub.run()
        there = {str(RecordId(*(row[of] for of in ("site", "node", "epoch", "seq")))) for row in self.hub.rows()}
        labelled = {row["data_prediction"] for row in self.hub.rows("labels")}
        return self._asked <= there & labelled

    def run(self, *words: str) -> str:
        """What `skerry` prints."""
        answer = CliRunner().invoke(app, [*words, "--store", self.hub.lake.uri])
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    def close(self) -> None:
        for uplink in self.uplinks.values():
            uplink.close()
        for node in self.nodes.values():
            node.close()
