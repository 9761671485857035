"""Drift on one node, through the real process: told in every way, outlives a kill, and decides nothing."""

import http.client
import json
import threading
from datetime import timedelta

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from skerry_core.drift.limits import DriftLimits
from tests.integration.inference import models
from tests.integration.inference.test_prediction_log import logged

RNG = np.random.default_rng(3)
LIMITS = DriftLimits(interval=timedelta(seconds=1), windows=2, failure_limit=2, min_samples=100)


def rows(shift=0.0):
    return (RNG.normal(size=(32, 4)) + shift).astype(np.float32)


VALIDATION = {"x": np.concatenate([rows() for _ in range(60)])}


class Traffic:
    """A client that never pauses, of rows with a mean that the test may move."""

    def __init__(self, node):
        self.node, self.shift, self.failures = node, 0.0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.is_set():
            try:
                answer = self.node.infer(rows(self.shift))
            except (http.client.HTTPException, json.JSONDecodeError):  # the process was killed
                continue
            if answer[0] not in (0, 200):
                self.failures.append(answer)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        self._thread.join()


def drift(node):
    return node.model().get("drift") or {}


def metrics(node):
    text = node.get("/metrics", status=True)[1].decode()
    return {
        (sample.name, sample.labels.get("column")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("skerry_drift")
    }


def test_drift_is_told_outlives_a_kill_and_decides_nothing(node):
    first = node.release("1.0.0", models.good(), validation=VALIDATION)
    node.assign(first, drift=LIMITS)
    node.start()
    node.wait_phase("Serving", first)
    with Traffic(node) as traffic:
        node.wait(lambda: drift(node).get("state") == "Stable")
        assert logged(node, "drift") == []

        traffic.shift = 1.5
        node.wait(lambda: drift(node).get("state") == "Drifting")
        told = drift(node)
        assert told["digest"] == first.digest
        assert {column["name"] for column in told["columns"]} >= {"x[0]", "x[1]", "x[2]", "x[3]"}
        node.wait(lambda: logged(node, "drift"))
        started = logged(node, "drift")[0]
        assert (started["state"], started["model"], started["digest"]) == ("Started", "har", first.digest)
        figures = metrics(node)
        assert figures["skerry_drift_psi", "x[0]"] > figures["skerry_drift_psi_limit", "x[0]"]
        assert figures["skerry_drift_columns", None] >= 4

        assert traffic.failures == []
        node.kill()
        node.start()
        node.wait(lambda: drift(node).get("state") == "Drifting")
        assert drift(node)["digest"] == first.digest
        node.wait_phase("Serving", first)
        node.wait(lambda: node.infer(rows())[0] == 200)
        traffic.failures.clear()  # of the time when nothing was loaded yet

        # Drift is no verdict: the champion serves on, and a challenger that is as good is promoted meanwhile.
        assert node.model()["phase"] == "Serving"
        assert node.model().get("quarantined") == []
        second = node.release("1.1.0", models.good(0.001), validation={"x": VALIDATION["x"] + np.float32(1.5)})
        node.assign(second, first, drift=LIMITS)
        node.wait_phase("Serving", second)
        # It was trained on what is seen now.
        node.wait(lambda: drift(node).get("digest") == second.digest and drift(node)["state"] == "Stable")
        assert logged(node, "rollbacks") == []
    assert traffic.failures == []


def test_a_baseline_that_is_not_what_was_signed_is_never_believed(node):
    first = node.release("1.0.0", models.good(), validation=VALIDATION)
    manifest = json.loads(node.blob_path(first.digest).read_bytes())
    baseline = next(file for file in manifest["files"] if file["path"] == manifest["driftBaseline"])
    path = node.blob_path(baseline["digest"])
    path.write_bytes(path.read_bytes().replace(b'"rows":1920', b'"rows":1921'))
    node.assign(first, drift=LIMITS)
    node.start()
    node.wait_phase("Serving", first)
    node.wait(lambda: "drift baseline isn't here" in node.log_path.read_text())
    assert drift(node) == {}
    assert node.infer(rows())[0] == 200
