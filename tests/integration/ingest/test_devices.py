"""What the site knows of devices reaches the log with their events, by HTTP and while the registry changes."""

import json

from tests.integration.ingest.running import wait
from tests.unit.ingest.worlds import policy, raw_event, stored, stream_policy

POLICY = policy(stream_policy(device_path="subject"))


def tell(running, **devices):
    folder = running.root / "devices"
    folder.mkdir(exist_ok=True)
    # As the kubelet does: the file is another one at once.
    (folder / "new").write_text(json.dumps({"devices": devices}))
    (folder / "new").rename(folder / "devices.json")


def known(running):
    bodies = [json.loads(record.body) for record in stored(running.logs, "readings")]
    return [(body["id"], body.get("device", {}).get("gain")) for body in bodies]


def test_events_are_stored_with_what_was_known_of_their_device(ingest):
    running = ingest(POLICY)
    tell(running, **{"press-7": {"gain": 1.5}})
    running.open("readings")
    wait(lambda: running.devices() == [1])
    assert running.client.post("readings", raw_event("a", subject="press-7"))[0] == 200
    assert running.client.post("readings", raw_event("b", subject="press-8"))[0] == 200
    tell(running, **{"press-7": {"gain": 1.6}, "press-8": {}})
    wait(lambda: running.devices() == [2])
    assert running.client.post("readings", raw_event("a", subject="press-7"))[1]["duplicates"] == 1
    assert running.client.post("readings", raw_event("c", subject="press-7"))[0] == 200
    (running.root / "devices" / "devices.json").unlink()
    running.close()
    again = ingest(POLICY).open("readings")
    assert again.client.post("readings", raw_event("d", subject="press-7"))[0] == 200
    assert known(again) == [("a", 1.5), ("b", None), ("c", 1.6), ("d", 1.6)]


def test_what_the_site_says_of_a_device_is_no_producers_to_say(ingest):
    running = ingest(POLICY).open("readings")
    status, answer, _ = running.client.post("readings", raw_event("a", subject="press-7", device="X1"))
    assert (status, answer["error"]) == (400, "ReservedAttribute")
    assert known(running) == []
    running.policy = policy(stream_policy())
    wait(lambda: running.client.post("readings", raw_event("a", device="X1"))[0] == 200)
