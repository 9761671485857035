"""The watcher over real inference: a real model, packaged with validation data, answers through the real Predictor."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from skerry_core.bundle.package import package_model
from skerry_core.drift.limits import DriftLimits
from skerry_core.drift.watch import Watch
from skerry_core.features.definition import FeatureInput, FeatureSetRef
from skerry_core.lineage.record import FeatureLineage
from skerry_core.trust.policy import SignerIdentity
from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.drift.files import WatchFiles
from skerry_edge.inference.drift.metrics import DriftCollector
from skerry_edge.inference.drift.sampler import MAX_BYTES, MAX_ROWS, MAX_SAMPLES, Sampler
from skerry_edge.inference.drift.watcher import CPU_SHARE, DriftWatcher, columns_of, interval
from skerry_edge.inference.loader import Resident
from skerry_edge.inference.onnx_backend import OnnxBackend
from skerry_edge.inference.prediction import Predictor
from skerry_edge.inference.routing import Routes
from skerry_edge.inference.store_folder import BlobMissingError
from tests.unit.bundle.models import FEATURES, classifier
from tests.unit.inference.releases import AT, release

KEY = ModelKey("team", "har")
LIMITS = DriftLimits(windows=2, failure_limit=2)
RNG = np.random.default_rng(11)


def rows(count=40, shift=0.0):
    return (RNG.normal(size=(count, FEATURES)) + shift).astype(np.float32)


class World:
    """One node's serving side, with a clock and a disk of its own."""

    def __init__(self, root):
        self.root = root
        self.now = datetime(2026, 5, 1, tzinfo=UTC)
        self.blobs, self.changes, self.asked = {}, [], []
        self.routes = Routes()
        self.routes.name(KEY, "har")
        self.restart()

    def restart(self):
        self.sampler = Sampler()
        self.watcher = DriftWatcher(
            routes=self.routes,
            sampler=self.sampler,
            limits=lambda _: LIMITS,
            blob=self.blob,
            files=WatchFiles(self.root / "drift"),
            changed=self.changes.append,
            now=lambda: self.now,
        )
        self.predictor = Predictor("site", "node", Log(), Counted(), sampler=self.sampler)

    def blob(self, digest, max_bytes):
        self.asked.append(digest)
        if digest not in self.blobs:
            raise BlobMissingError(digest)
        assert len(self.blobs[digest]) <= max_bytes
        return self.blobs[digest]

    def serve(self, number=1, *, validation=True, hold_back=False):
        """Package a real model, and let it be the champion."""
        file, folder = self.root / "model.onnx", self.root / f"bundle-{number}"
        file.write_bytes(classifier())
        data = {"features": rows(2000)} if validation else None
        bundle = package_model(
            file, folder, model="har", version=f"1.{number}.0", created_at=AT, validation=data
        ).bundle
        for entry in bundle.manifest.files:
            if not hold_back or entry.path == "model.onnx":
                self.blobs[entry.digest] = bundle.file(entry.path).read_bytes()
        session = OnnxBackend().load(file.read_bytes(), bundle.manifest)
        champion = Resident(release(number), bundle.manifest, SignerIdentity(subject="a", issuer="b"), session)
        self.routes.serve(KEY, champion)
        return bundle

    def infer(self, data):
        body = {
            "inputs": [{"name": "features", "shape": data.shape, "datatype": "FP32", "data": data.ravel().tolist()}]
        }
        self.predictor.predict(self.routes.get(KEY), json.dumps(body).encode())

    def window(self, shift=0.0):
        """As many requests as a window needs, each sampled, and its end."""
        for _ in range(10):
            self.sampler.pace({self.watcher.watched[KEY].watch.digest: 0.0} if self.watcher.watched else {})
            self.infer(rows(shift=shift))
        self.now += LIMITS.interval
        self.watcher.turn()

    def report(self):
        return self.watcher.report(KEY)


class Log:
    epoch = "e"

    def append_soon(self, make):
        make(0)
        return 1


class Counted:
    def answered(self, model, answer):
        pass


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.serve()
    world.watcher.turn()
    return world


def test_drift_begins_and_ends_with_the_traffic(world):
    assert world.report().state == "Collecting"
    world.window()
    assert (world.report().state, world.changes) == ("Stable", [])
    world.window(shift=1.0)
    assert world.report().state == "Stable"
    world.window(shift=1.0)
    report = world.report()
    assert (report.state, report.windows, report.nodes) == ("Drifting", 3, 1)
    assert {column.name for column in report.columns} >= {f"features[{n}]" for n in range(FEATURES)}
    assert all(column.psi > column.limit for column in report.columns)
    assert report.columns[0].psi == max(column.psi for column in report.columns)
    assert report.since == world.now
    world.window()
    world.window()
    assert world.report().state == "Stable"
    assert [(change.state, change.version) for change in world.changes] == [("Started", "1.1.0"), ("Ended", "1.1.0")]
    assert world.changes[0].psi > world.changes[0].limit
    assert world.changes[0].rows == 400


def test_the_same_traffic_never_drifts(world):
    for _ in range(20):
        world.window()
    assert world.report().state == "Stable"
    assert world.changes == []


def test_a_restart_goes_on_where_it_was(world):
    world.window(shift=1.0)
    world.restart()
    world.watcher.turn()
    assert world.report().windows == 1
    world.window(shift=1.0)
    assert world.report().state == "Drifting"
    since = world.report().since
    world.restart()
    world.watcher.turn()
    assert (world.report().state, world.report().since) == ("Drifting", since)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"digest": 5}'])
def test_a_damaged_file_costs_only_what_was_seen(world, content):
    world.window(shift=1.0)
    (path,) = (world.root / "drift").iterdir()
    path.write_bytes(content)
    world.restart()
    world.watcher.turn()
    assert world.report().state == "Collecting"


def test_another_champion_is_watched_anew(world):
    world.window(shift=1.0)
    world.window(shift=1.0)
    world.serve(2)
    world.watcher.turn()
    assert (world.report().state, world.report().digest) == ("Collecting", release(2).digest)


def test_a_release_without_a_baseline_is_not_watched(world):
    world.serve(2, validation=False)
    world.watcher.turn()
    assert world.report() is None
    world.infer(rows())
    assert world.sampler.drain() == []


def test_a_baseline_that_is_still_to_come_is_asked_for_again(tmp_path):
    world = World(tmp_path)
    bundle = world.serve(hold_back=True)
    world.watcher.turn()
    world.watcher.turn()
    assert world.report() is None
    assert len(world.asked) == 1
    entry = next(file for file in bundle.manifest.files if file.path == bundle.manifest.drift_baseline)
    world.blobs[entry.digest] = bundle.file(entry.path).read_bytes()
    world.now += timedelta(minutes=1)
    world.watcher.turn()
    assert world.report().state == "Collecting"


def test_a_malformed_baseline_is_told_once_and_serving_goes_on(tmp_path):
    world = World(tmp_path)
    bundle = world.serve()
    for entry in bundle.manifest.files:
        if entry.path == bundle.manifest.drift_baseline:
            world.blobs[entry.digest] = b'{"columns": []}'
    for _ in range(3):
        world.now += timedelta(hours=1)
        world.watcher.turn()
    assert world.report() is None
    assert len(world.asked) == 1
    world.infer(rows())


def test_a_model_that_is_gone_leaves_nothing(world):
    world.window()
    world.routes.remove(KEY)
    world.watcher.turn()
    assert world.report() is None
    assert list((world.root / "drift").iterdir()) == []


def test_metrics(world):
    registry = CollectorRegistry()
    registry.register(DriftCollector(world.watcher))
    for _ in range(2):
        world.window(shift=1.0)
    labels = {"model": "team/har", "column": "features[0]"}
    psi = registry.get_sample_value("skerry_drift_psi", labels)
    assert psi > registry.get_sample_value("skerry_drift_psi_limit", labels)
    assert registry.get_sample_value("skerry_drift_null_ratio", labels) == 0
    assert registry.get_sample_value("skerry_drift_columns", {"model": "team/har"}) == len(
        world.watcher.watched[KEY].watch.drifting
    )
    assert registry.get_sample_value("skerry_drift_windows_total", {"model": "team/har"}) == 2
    assert registry.get_sample_value("skerry_drift_rows_total", {"model": "team/har"}) == 800
    assert registry.get_sample_value("skerry_drift_cpu_seconds_total") > 0


def test_features_that_gave_their_defaults_are_nulls(world):
    named = FeatureSetRef(namespace="team", name="press", version="1.0.0", digest="sha256:" + "0" * 64)
    binding = FeatureInput(input="features", feature_set=named, features=("a", "b", "c", "d"))
    bound = replace(world.watcher.watched[KEY], features=(binding,))
    world.sampler.pace({release(1).digest: 0.0})
    lineage = FeatureLineage("features", "team/press", "1.0.0", "0" * 12, "e", 1, 0, stale=("c",))
    world.sampler.offer(KEY, release(1).digest, {"features": rows(5)}, {"scores": rows(5)[:, :3]}, (lineage,))
    columns = columns_of(bound, world.sampler.drain())
    assert [bool(np.isnan(column).all()) for column in columns[:FEATURES]] == [False, False, True, False]


# The sampler: what a request pays


def test_the_sampler_holds_little_whatever_is_offered():
    sampler = Sampler()
    sampler.pace({"a": 0.0})
    large = {"x": np.zeros((MAX_ROWS, MAX_BYTES // MAX_ROWS // 4), np.float32)}
    for _ in range(3):
        sampler.offer(KEY, "a", large, {})
    assert len(sampler.drain()) == 1
    for _ in range(2 * MAX_SAMPLES):
        sampler.offer(KEY, "a", {"x": np.zeros((1000, 4))}, {})
    held = sampler.drain()
    assert len(held) == MAX_SAMPLES
    assert all(sample.inputs["x"].shape[0] <= MAX_ROWS for sample in held)
    assert all(sample.inputs["x"].base is None for sample in held)
    assert sampler.drain() == []


def test_only_releases_whose_turn_it_is_are_taken():
    sampler = Sampler()
    sampler.offer(KEY, "a", {}, {})
    sampler.pace({"a": 3600.0})
    for digest in ("a", "a", "b"):
        sampler.offer(KEY, digest, {}, {})
    sampler.pace({"a": 3600.0})
    sampler.offer(KEY, "a", {}, {})
    assert [sample.digest for sample in sampler.drain()] == ["a"]


def test_threads_share_the_sampler():
    sampler = Sampler()
    sampler.pace({"a": 0.0})

    def offer():
        for _ in range(50):
            sampler.offer(KEY, "a", {"x": np.zeros((1, 1))}, {})

    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sampler.drain()) == MAX_SAMPLES


@pytest.mark.parametrize("cost", [1e-6, 1e-3, 0.5])
@pytest.mark.parametrize("models", [1, 20])
def test_all_models_together_stay_within_their_share(cost, models):
    assert models * cost / interval(cost, models) <= CPU_SHARE * 1.0001


def test_the_kept_file_is_the_watch(world):
    world.window(shift=1.0)
    assert WatchFiles(world.root / "drift").read(KEY) == world.watcher.watched[KEY].watch
    assert isinstance(world.watcher.watched[KEY].watch, Watch)
