"""6. From raw sensor events to a prediction that can be explained, without a network."""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from skerry_core.lineage.explanation import Explanation
from tests.cluster.lab.waiting import wait_for
from tests.e2e.story.command_line import SkerryFailedError, skerry
from tests.e2e.story.dataset import WINDOW
from tests.e2e.story.motion import DEFINITION, VERSION, expected_scores
from tests.e2e.story.network import TOLERANCE
from tests.e2e.story.platform import BROKER_PORT, BUCKET, MOTION
from tests.e2e.story.story import Story
from tests.e2e.story.wearers import wearer
from tests.integration.ingest.mosquitto import Mosquitto

SITE = "site-a"
WEARERS = 12
# Whose prediction is explained.
WEARER = wearer(7)
TOPICS = "wrists/+/motion"


def tell(story: Story) -> None:
    """Give site-a a model that is fed by features, cut its link, and ask about wearers whose samples come by MQTT."""
    site = story.sites[SITE]
    # The node's network has no other hosts.
    broker = Mosquitto(story.work / "broker", address="0.0.0.0", port=BROKER_PORT, popen=site.exec)
    windows = story.data.held_out.x[:: len(story.data.held_out.x) // WEARERS][:WEARERS]
    broker.start()
    try:
        _bring_the_model(story)
        wait_for("the node listens to the broker", lambda: f"{TOPICS} (QoS 1" in broker.log, seconds=90)
        site.cut()
        published = _publish(story, windows)
        answers = _ask(story, windows, list(published))
        prediction = answers[WEARER]["prediction"]
        explained = _explain_at_the_node(story, prediction)
    finally:
        site.join()
        broker.stop()
    _explain_at_the_hub(story, prediction, explained, published[WEARER])
    story.no_failures("while features were made beside it")


def _bring_the_model(story: Story) -> None:
    story.hub.apply(DEFINITION.read_text())
    folder = story.author.bundle(f"{MOTION}-{VERSION}")
    story.hub.apply(story.author.push(folder, story.platform.store_environment()))
    story.hub.wait_phase(VERSION, "Approved", 120, model=MOTION)
    story.narrator.say("a FeatureSet, and a model that is fed by it, are applied with kubectl; site-a serves it")


def _publish(story: Story, windows: NDArray[np.float32]) -> dict[str, list[str]]:
    path = story.work / "worn.npy"
    np.save(path, windows)
    broker = f"{story.sites[SITE].address}:{BROKER_PORT}"
    told: dict[str, list[str]] = _run(story, "wearers", f"--broker={broker}", f"--windows={path}")
    samples = sum(map(len, told.values()))
    story.narrator.say(f"{SITE}'s link is cut; its MQTT broker took {samples} samples of {len(told)} wearers")
    return told


def _ask(story: Story, windows: NDArray[np.float32], wearers: list[str]) -> dict[str, dict[str, Any]]:
    """The answers, once every sample is in the features."""
    url = story.reach[SITE].url(MOTION)
    model = (story.author.bundle(f"{MOTION}-{VERSION}") / "model.onnx").read_bytes()
    expected = expected_scores(model, windows)
    answers: dict[str, dict[str, Any]] = {}

    def largest_difference() -> float:
        answers.update(_run(story, "ask_wearers", url, *wearers))
        if any(answer["status"] != 200 for answer in answers.values()):
            return float("inf")
        scores = np.array([answers[wearer]["scores"] for wearer in wearers], np.float32)
        return float(np.abs(scores - expected).max())

    wait_for(f"{SITE} has made features of all samples", lambda: largest_difference() <= TOLERANCE, seconds=60)
    story.narrator.show(
        f"cut off, {SITE} answers by a wearer's name alone, as bare onnxruntime on numpy's features does",
        story.sites[SITE].is_cut,
        f"{len(wearers)} wearers, largest difference {largest_difference():.1e}",
    )
    return answers


def _explain_at_the_node(story: Story, prediction: str) -> Explanation:
    command = [str(Path(sys.executable).with_name("skerry")), "explain", prediction, "--node", "--json"]
    environment = {"KUBECONFIG": str(story.sites[SITE].kubeconfig), "NO_PROXY": "*"}
    done = story.reach[SITE].run(command, timeout=60, environment=environment)
    if done.returncode != 0:
        raise RuntimeError(f"skerry explain: {done.stderr}")
    found = msgspec.json.decode(done.stdout, type=Explanation)
    story.narrator.show(
        f"cut off, {SITE}'s node explains a prediction down to the events in its features' windows",
        story.sites[SITE].is_cut and _is_whole(found),
        f"{found.model} {found.version}, {_told(found)}",
    )
    return found


def _explain_at_the_hub(story: Story, prediction: str, at_node: Explanation, published: list[str]) -> None:
    environment = story.platform.store_environment()
    found: list[Explanation] = []

    def explained() -> bool:
        try:
            told = skerry("explain", prediction, "--store", f"s3://{BUCKET}", "--json", environment=environment)
        except SkerryFailedError:
            return False
        found[:] = [msgspec.json.decode(told, type=Explanation)]
        return _is_whole(found[0])

    wait_for("the hub has the prediction and its events", explained, seconds=120, every=2)
    (at_hub,) = found
    story.narrator.show(
        "the link is back, and the hub explains it by the same events",
        at_hub.release == at_node.release and at_hub.inputs[0].events == at_node.inputs[0].events,
        _told(at_hub),
    )
    sql = f"SELECT id FROM motion WHERE subject = '{WEARER}' ORDER BY time"
    told = skerry("query", sql, "--store", f"s3://{BUCKET}", "--json", environment=environment)
    rows = [json.loads(line) for line in told.splitlines()]
    story.narrator.show(
        "the hub's table has every sample that the wearer's device published, each once",
        [row["id"] for row in rows] == published,
        f"{len(rows)} events",
    )


def _is_whole(explanation: Explanation) -> bool:
    """Whether each feature is told with all the samples that it was made of."""
    (filled,) = explanation.inputs
    whole = all(each.status == "PRESENT" and each.found == each.counted == WINDOW for each in filled.features)
    return whole and len(filled.events) == WINDOW


def _told(explanation: Explanation) -> str:
    (filled,) = explanation.inputs
    oldest = max(each.age_seconds or 0.0 for each in filled.features)
    return (
        f"{filled.set} {filled.version}: {len(filled.features)} features at most {oldest:.1f} s old, "
        f"of {filled.events_found} events"
    )


def _run(story: Story, module: str, *arguments: str) -> dict[str, Any]:
    """Run a client inside the site; what it prints."""
    done = story.reach[SITE].run([sys.executable, "-m", f"tests.e2e.story.{module}", *arguments], timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{module}: {done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
