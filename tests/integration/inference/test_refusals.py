"""What must not be loaded, and must not disturb what serves."""

import json

import numpy as np

from skerry_core.trust.policy import DenyList, MinimumVersion
from tests.integration.inference import models

ROW = np.array([[1, 2, 3, 4]], np.float32)


def serve_first(node):
    first = node.release("1.0.0", models.good())
    node.assign(first)
    node.start()
    node.wait_phase("Serving", first)
    return first


def test_wrong_identity_is_refused(node):
    first = serve_first(node)
    foreign = node.release("1.1.0", models.good(0.1), signer="somebody@else.test")
    node.assign(foreign, first)
    assert node.wait_phase("Refused", first)["reason"] == "SignerNotAllowed"
    assert foreign.digest not in node.status()["resident"]


def test_signature_of_another_model_is_refused(node):
    first = serve_first(node)
    other = node.release("1.1.0", models.good(0.1), name="gait")
    node.assign(other, first)
    assert node.wait_phase("Refused", first)["reason"] in {"ManifestMismatch", "SignatureInvalid"}


def test_hand_edited_assignment_leaves_the_last_good_one_in_force(node):
    first = serve_first(node)
    bad = node.release("1.1.0", models.good(0.1))
    good = json.loads((node.store / "assignment.json").read_bytes())["envelope"]
    forged = json.loads(node.envelope(bad, first))
    forged["signatures"] = json.loads(good)["signatures"]
    for envelope in (json.dumps(forged), "not an envelope", ""):
        node.write_assignment(envelope)
        node.wait(lambda: (node.status()["refusal"] or {}).get("reason") == "EnvelopeInvalid")
        assert node.model()["phase"] == "Serving"
        assert node.model()["targetDigest"] == first.digest
    node.write_assignment(good)
    node.wait(lambda: node.status()["refusal"] is None)
    (node.store / "assignment.json").write_bytes(b"{torn")
    node.wait(lambda: (node.status()["refusal"] or {}).get("reason") == "AssignmentUnreadable")

    node.kill()
    node.start()
    node.wait_phase("Serving", first)
    assert node.status()["observedSerial"] == {"incarnation": 1, "n": 1}


def test_older_and_foreign_assignments_are_refused(node):
    first = serve_first(node)
    second = node.release("1.1.0", models.good(0.1))
    node.assign(first, serial=9)
    node.wait(lambda: node.status()["observedSerial"]["n"] == 9)

    node.assign(second, first, serial=8)
    node.wait(lambda: (node.status()["refusal"] or {}).get("reason") == "SerialOlder")
    node.assign(second, first, serial=10, site="site-b")
    node.wait(lambda: node.status()["refusal"]["reason"] == "WrongSite")
    assert node.model()["targetDigest"] == first.digest

    node.assign(first, serial=10)
    node.wait(lambda: node.status()["refusal"] is None)


def test_denied_champion_is_swapped_and_older_policy_refused(node):
    first = serve_first(node)
    second = node.release("1.1.0", models.good(0.001))
    node.assign(second, first)
    node.wait_phase("Canary", first)
    older = node.policy
    current = node.put_policy(2, deny_list=DenyList(digests=(second.digest,)))
    node.assign(second, first)
    node.wait_phase("RolledBack", first)
    assert node.status()["resident"] == [first.digest]

    node.policy = older
    node.assign(second, first)
    node.wait(lambda: (node.status()["refusal"] or {}).get("reason") == "SerialOlder")
    assert node.model()["servingDigest"] == first.digest

    node.policy = current
    node.assign(second, first)
    node.wait(lambda: node.status()["refusal"] is None)


def test_version_below_the_minimum_by_a_stolen_hub_key_is_refused(node):
    first = serve_first(node)
    node.put_policy(2, minimum_versions=(MinimumVersion(namespace="team", model="har", version="1.0.0"),))
    old = node.release("0.9.0", models.good(0.1))
    node.assign(old, first)
    assert node.wait_phase("Refused", first)["reason"] == "VersionTooOld"
