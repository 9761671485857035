"""Late feedback through the whole inference process: labels over its own port decide a canary."""

import json
from datetime import timedelta

import numpy as np

from skerry_api.v1alpha1.model import LabelError
from skerry_core.assignment.document import LabelLimits
from tests.integration.inference import models
from tests.integration.inference.node import ANALYSIS
from tests.integration.ingest.running import Client

MIN_LABELS = 6
ASKED = ANALYSIS.model_copy(
    update={
        "labels": LabelLimits(
            error=LabelError.MISMATCH,
            min_labels=MIN_LABELS,
            max_error_excess=0.2,
            max_age=timedelta(days=7),
            min_authority=0,
        )
    }
)
# The first model says class 1 of it, and is right.
ROW, RIGHT = np.array([[1, 2, 0, 0]], np.float32), 1


def say(node, predictions, value):
    """Post labels; the answer means that they are durable."""
    lines = [json.dumps({"prediction": each, "value": value}).encode() for each in predictions]
    client = Client(node.events_port)
    try:
        return client.post("labels", b"\n".join(lines), "application/x-ndjson", ce_source="inspector")[:2]
    except OSError:
        return 0, {}
    finally:
        client.close()


def ids(node, count):
    found = [node.infer(ROW) for _ in range(count)]
    assert {status for status, _ in found} == {200}
    return [answer["parameters"]["prediction_id"] for _, answer in found]


def labelled(node):
    found = json.loads(node.get("/evidence", status=True)[1])["models"]
    return found[0].get("labelled", {}).get("rows", 0) if found else 0


def enough(node):
    windows = json.loads(node.get("/evidence", status=True)[1])["models"][0]["windows"]
    return len(windows) > ANALYSIS.windows and sum(each["rows"] for each in windows) >= ANALYSIS.min_samples


def canary(node, challenger):
    first = node.release("1.0.0", models.good())
    node.assign(first)
    node.start()
    node.wait_phase("Serving")
    node.wait(lambda: say(node, [], RIGHT)[0] == 200)
    second = node.release("1.1.0", challenger)
    node.assign(second, first, analysis=ASKED)
    node.wait_phase("Canary")
    return first, second


def test_a_good_challenger_waits_for_labels_and_passes_with_them(node):
    _, second = canary(node, models.good(0.001))
    found = []
    # All but the labels is enough for a verdict.
    node.wait(lambda: found.extend(ids(node, 10)) or enough(node))
    assert say(node, found[: MIN_LABELS - 1], RIGHT)[1]["accepted"] == MIN_LABELS - 1
    node.wait(lambda: labelled(node) == MIN_LABELS - 1)
    assert node.model()["phase"] == "Canary"
    # What the same one says again changes nothing; the first ones for the rest do.
    assert say(node, found[:3], RIGHT)[0] == 200
    assert say(node, found[MIN_LABELS - 1 : MIN_LABELS], RIGHT)[0] == 200
    node.wait_phase("Serving", second)
    metrics = node.get("/metrics", status=True)[1].decode()
    assert f'skerry_labelled_predictions{{standing="Eligible"}} {MIN_LABELS:.1f}' in metrics
    assert f'skerry_labelled_error{{digest="{second.digest}",model="team/har",variant="challenger"}} 0.0' in metrics


def test_labels_end_a_canary_that_has_seen_too_little_for_any_other_verdict(node):
    first, second = canary(node, models.shifted())
    found = ids(node, MIN_LABELS)
    assert say(node, found, RIGHT)[0] == 200
    report = node.wait_phase("RolledBack", first)
    assert report["failedMetric"]["name"] == "labelled_error"
    assert second.digest in report["quarantined"]


def test_labels_are_there_after_a_kill(node):
    canary(node, models.good(0.001))
    found = ids(node, 4)
    assert say(node, found, RIGHT)[0] == 200
    node.wait(lambda: labelled(node) == 4)
    node.kill()
    node.start()
    eligible = b'skerry_labelled_predictions{standing="Eligible"} 4.0'
    node.wait(lambda: eligible in node.get("/metrics", status=True)[1])


def test_a_label_that_says_nothing_is_refused(node):
    canary(node, models.good(0.001))
    status, answer = say(node, ["no/such"], RIGHT)
    assert (status, answer["rejected"][0]["reason"]) == (400, "InvalidLabel")
