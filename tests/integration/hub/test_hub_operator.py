"""The hub operator against a real API server: from `kubectl apply` to what sites are told, and back from reports."""

import base64
import json
import signal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from skerry_core.bundle.publish import push
from skerry_operator.link.enroll import SIGNER, signing_request
from tests.integration.hub.operator_process import NAMESPACE

pytestmark = pytest.mark.lab

RING = {"rolloutStrategy": {"minSuccessTime": "1s"}, "evidenceMaxAge": "8s"}


def conditions(item: dict) -> dict[str, dict]:
    return {each["type"]: each for each in item.get("status", {}).get("conditions", [])}


def removed(hub, model: str) -> str:
    return conditions(hub.get("models", model)).get("Removed", {}).get("reason", "")


@pytest.fixture(scope="module")
def hub(operator):
    """Two rings with a site each, a class, and a policy."""
    operator.trust()
    operator.skerry("SiteClass", "lab", {"image": "skerry-edge:0.1.0"})
    for order, name in enumerate(("internal", "fleet")):
        operator.skerry("RolloutRing", name, {"order": order, "siteSelector": {"matchLabels": {"ring": name}}, **RING})
    operator.a = operator.site("ta", ring="internal")
    operator.b = operator.site("tb", ring="fleet")
    operator.skerry("Model", "har", {}, NAMESPACE)
    return operator


def reachable(hub, name: str) -> str:
    return conditions(hub.get("edgesites", name, None)).get("Reachable", {}).get("status", "")


def test_sites_get_a_namespace_a_binding_and_an_empty_signed_assignment(hub):
    hub.until("both sites report", lambda: reachable(hub, "ta") == reachable(hub, "tb") == "True")
    assert hub.a.told().models == ()
    assert hub.a.told().serial.n == 1
    binding = json.loads(
        hub.cluster.kubectl("get", "rolebinding", "skerry-site", "-n", "skerry-site-ta", "-o", "json").stdout
    )
    assert binding["subjects"] == [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "skerry:site:ta"}]


def test_a_release_goes_ring_by_ring_and_is_approved(hub):
    hub.b.canary.add("1.0.0")
    hub.release("har", "1.0.0")
    hub.until("the fleet ring is reached", lambda: hub.b.versions() == {"har": "1.0.0"})
    assert hub.a.versions() == {"har": "1.0.0"}
    status = hub.get("modelreleases", "har-1.0.0")["status"]
    assert (status["phase"], status["ring"]) == ("Progressing", "fleet")
    assert status["rings"][0]["completedAt"]
    assert "completedAt" not in status["rings"][1]
    hub.b.canary.clear()
    hub.until_phase("har-1.0.0", "Approved")
    model = hub.get("models", "har")
    assert model["status"]["approved"]["version"] == "1.0.0"
    assert conditions(model)["Ready"]["status"] == "True"
    hub.until("its site says so", lambda: "har 1.0.0" in hub.get("edgesites", "ta", None)["status"]["summary"])


def test_users_objects_stay_as_they_were_written(hub):
    for kind, name in (("models", "har"), ("modelreleases", "har-1.0.0")):
        metadata = hub.get(kind, name)["metadata"]
        assert "finalizers" not in metadata
        assert "annotations" not in metadata
        assert metadata["generation"] == 1


def test_the_serial_moves_only_with_the_content(hub):
    hub.until("the approval is told", lambda: hub.a.told().models[0].approved is not None)
    before = hub.a.told()
    hub.stop()
    hub.start()
    hub.until("the operator is back", lambda: "1.0.0" in hub.get("edgesites", "ta", None)["status"]["summary"])
    hub.skerry("Model", "har", {"analysis": {"minSamples": 60}}, NAMESPACE)
    hub.until("the new limit is told", lambda: hub.a.told().models[0].analysis.min_samples == 60)
    assert hub.a.told().serial.n == before.serial.n + 1


def test_a_model_is_removed_where_its_owner_says_and_comes_back(hub):
    before = {"analysis": {"minSamples": 60}}
    hub.skerry("Model", "har", {**before, "removeFrom": {"matchLabels": {"ring": "internal"}}}, NAMESPACE)
    hub.until("it is gone from there", lambda: removed(hub, "har") == "Gone")
    assert [(each.namespace, each.name) for each in hub.a.told().removals] == [(NAMESPACE, "har")]
    assert hub.a.assignment()["spec"]["models"] == []
    assert hub.b.versions() == {"har": "1.0.0"}
    everywhere = {"matchExpressions": [{"key": "keeps-models", "operator": "DoesNotExist"}]}
    hub.skerry("Model", "har", {**before, "removeFrom": everywhere}, NAMESPACE)
    hub.until("it is gone from everywhere", lambda: hub.b.versions() == {} and removed(hub, "har") == "Gone")
    assert hub.a.versions() == {}
    hub.skerry("Model", "har", before, NAMESPACE)
    hub.until("it is back", lambda: hub.a.versions() == hub.b.versions() == {"har": "1.0.0"})
    assert hub.a.told().removals == ()
    hub.until("the Model says no more of it", lambda: not removed(hub, "har"))


def test_a_bad_release_is_rolled_back_and_says_why(hub):
    hub.a.bad.add("1.1.0")
    hub.release("har", "1.1.0")
    hub.until_phase("har-1.1.0", "RolledBack")
    assert "disagreement" in hub.cluster.kubectl("get", "modelreleases.skerry.dev", "-n", NAMESPACE).stdout
    status = hub.get("modelreleases", "har-1.1.0")["status"]
    assert status["failedMetric"]["site"] == "ta"
    assert conditions({"status": status})["Stalled"]["reason"] == "RolledBack"
    digest = hub.get("modelreleases", "har-1.1.0")["spec"]["digest"]
    hub.until("site-a is told to go back", lambda: hub.a.versions() == {"har": "1.0.0"})
    hub.until("site-b is told what not to run", lambda: digest in hub.b.told().models[0].quarantined)
    assert hub.b.versions() == {"har": "1.0.0"}
    listed = json.loads(hub.cluster.kubectl("get", "quarantines.skerry.dev", "-o", "json").stdout)["items"]
    assert [(each["spec"]["scope"], each["spec"]["sites"]) for each in listed] == [("release", ["ta"])]


def test_a_quarantined_digest_is_refused_under_any_name(hub):
    bad = hub.get("modelreleases", "har-1.1.0")["spec"]
    hub.cluster.kubectl("delete", "modelreleases.skerry.dev", "har-1.1.0", "-n", NAMESPACE)
    hub.skerry("ModelRelease", "har-again", bad, NAMESPACE)
    hub.until_phase("har-again", "Refused")
    assert hub.get("modelreleases", "har-again")["status"]["reason"] == "Quarantined"
    hub.cluster.kubectl("delete", "modelreleases.skerry.dev", "har-again", "-n", NAMESPACE)


def test_what_an_offline_site_judged_takes_the_release_back_at_the_others(hub):
    hub.b.canary.add("1.4.0")
    hub.release("har", "1.4.0")
    hub.until("site-b tries it", lambda: hub.b.versions() == {"har": "1.4.0"})
    hub.b.cut()
    hub.until("site-b is silent", lambda: reachable(hub, "tb") == "False")
    status = hub.get("modelreleases", "har-1.4.0")["status"]
    assert (status["phase"], status["rings"][1]["unreachable"]) == ("Progressing", 1)
    hub.stop(signal.SIGKILL)
    hub.start()
    hub.b.bad.add("1.4.0")
    hub.b.join()
    hub.until_phase("har-1.4.0", "RolledBack")
    hub.until("site-a goes back", lambda: hub.a.versions() == hub.b.versions() == {"har": "1.0.0"})


def refusal(hub, name: str) -> str:
    hub.until_phase(name, "Refused")
    item = hub.get("modelreleases", name)
    stalled = conditions(item)["Stalled"]
    assert item["status"]["reason"] == stalled["reason"]
    assert stalled["message"]
    hub.cluster.kubectl("delete", "modelreleases.skerry.dev", name, "-n", NAMESPACE)
    return stalled["reason"]


def test_bundles_that_nobody_should_run_are_refused_with_a_reason(hub):
    stranger = hub.bundle("har", "2.0.0", signer="stranger@example.test")
    assert refusal(hub, hub.release("har", "2.0.0", stranger)) == "SignerNotAllowed"
    another = hub.bundle("har", "2.1.0", signed_as="hartwo")
    assert refusal(hub, hub.release("har", "2.1.0", another)) in {"ManifestMismatch", "SignatureInvalid"}
    assert refusal(hub, hub.release("gait", "1.0.0", hub.bundle("gait", "1.0.0"))) == "ModelNotListed"
    tampered = hub.bundle("har", "2.2.0")
    name = hub.release("har", "2.2.0", tampered, paused=True)
    blob = hub.folder / "store" / "blobs" / "sha256" / tampered.digest.removeprefix("sha256:")
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes().replace(b"2.2.0", b"2.2.1"))
    hub.cluster.kubectl("delete", "modelreleases.skerry.dev", name, "-n", NAMESPACE)
    assert refusal(hub, hub.release("har", "2.2.0", unpushed(tampered), uri=uri_of(hub, "2.2.0"))) == ("DigestMismatch")


def uri_of(hub, version: str) -> str:
    return f"{hub.store.uri}/models/har/{version}"


def unpushed(bundle):
    """The same bundle without its signature, so that it isn't pushed (and thereby mended) again."""
    return type(bundle)(**{**vars(bundle), "signature": None})


def test_an_unsigned_bundle_waits_for_its_signature_and_heals(hub):
    bundle = hub.bundle("har", "3.0.0", signer=None)
    name = hub.release("har", "3.0.0", bundle, paused=True)
    hub.until("it waits", lambda: hub.get("modelreleases", name).get("status", {}).get("reason") == "BundleMissing")
    assert conditions(hub.get("modelreleases", name))["Reconciling"]["status"] == "True"
    push(hub.store, hub.sign(bundle), uri_of(hub, "3.0.0"))
    hub.until("it is verified", lambda: hub.get("modelreleases", name)["status"].get("signature"))
    hub.cluster.kubectl("delete", "modelreleases.skerry.dev", name, "-n", NAMESPACE)


def test_the_second_model_of_a_served_name_is_stalled(hub):
    hub.skerry("Model", "har-two", {"servedName": "har"}, NAMESPACE)
    hub.until("it is stalled", lambda: "Stalled" in conditions(hub.get("models", "har-two")))
    assert conditions(hub.get("models", "har-two"))["Stalled"]["reason"] == "ServedNameTaken"
    hub.cluster.kubectl("delete", "models.skerry.dev", "har-two", "-n", NAMESPACE)


def test_deleting_the_model_and_its_releases_changes_nothing_at_sites(hub):
    before = hub.a.told()
    hub.cluster.kubectl("delete", "modelreleases.skerry.dev,models.skerry.dev", "--all", "-n", NAMESPACE)
    hub.skerry("SiteClass", "lab", {"image": "skerry-edge:0.1.1"})
    hub.until("the next assignment is out", lambda: hub.a.told().runtime.image == "skerry-edge:0.1.1")
    assert hub.a.told().models == before.models


def test_the_policy_is_where_sites_fetch_it(hub):
    document = hub.a.told()
    blob = hub.folder / "store" / "blobs" / "sha256" / document.trust_policy.removeprefix("sha256:")
    envelope = hub.get("trustpolicies", "fleet", None)["spec"]["envelope"]
    assert blob.read_text() == envelope
    assert base64.b64decode(json.loads(envelope)["payload"])


def sync_policy(hub, site) -> dict:
    """The policy that a site is told, as it would fetch it."""
    digest = site.told().sync_policy or ""
    blob = hub.folder / "store" / "blobs" / "sha256" / digest.removeprefix("sha256:")
    return json.loads(blob.read_text()) if digest else {}


def test_a_sync_policy_reaches_its_sites_and_stays_there_when_it_is_deleted(hub):
    def alerts(site) -> list[str]:
        return [alert["name"] for alert in sync_policy(hub, site).get("alerts", [])]

    def spec(alert: str, when: str = "event.data.celsius > 90.0") -> dict:
        return {
            "siteSelector": {"matchLabels": {"ring": "internal"}},
            "alerts": [{"name": alert, "stream": "*", "when": when}],
        }

    hub.skerry("SyncPolicy", "floor", spec("hot"), NAMESPACE)
    hub.until("site-a is told", lambda: alerts(hub.a) == ["hot"])
    assert alerts(hub.b) == []
    hub.until("it has taken it", lambda: hub.get("syncpolicies", "floor")["status"].get("updatedSites") == 1)
    assert conditions(hub.get("syncpolicies", "floor"))["Ready"]["status"] == "True"
    hub.skerry("SyncPolicy", "floor", spec("hotter", "event.data.celsius >"), NAMESPACE)
    hub.until("it is stalled", lambda: "Stalled" in conditions(hub.get("syncpolicies", "floor")))
    assert conditions(hub.get("syncpolicies", "floor"))["Stalled"]["reason"] == "ExpressionInvalid"
    assert alerts(hub.a) == ["hot"]
    hub.skerry("SyncPolicy", "later", spec("late"), NAMESPACE)
    hub.until("the later one is stalled", lambda: "Stalled" in conditions(hub.get("syncpolicies", "later")))
    stalled = conditions(hub.get("syncpolicies", "later"))["Stalled"]
    assert stalled["reason"] == "SitesTaken"
    assert f"ta by {NAMESPACE}/floor" in stalled["message"]
    hub.cluster.kubectl("delete", "syncpolicies.skerry.dev", "floor", "-n", NAMESPACE)
    hub.until("the later one has the site", lambda: alerts(hub.a) == ["late"])
    before = hub.a.told()
    hub.cluster.kubectl("delete", "syncpolicies.skerry.dev", "later", "-n", NAMESPACE)
    hub.skerry("SiteClass", "lab", {"image": "skerry-edge:0.1.2"})
    hub.until("the next assignment is out", lambda: hub.a.told().runtime.image == "skerry-edge:0.1.2")
    assert hub.a.told().sync_policy == before.sync_policy


def test_a_half_pushed_bundle_waits_and_heals_by_itself(hub):
    hub.skerry("Model", "har", {}, NAMESPACE)
    bundle = hub.bundle("har", "4.0.0")
    blob = hub.folder / "store" / "blobs" / "sha256" / bundle.manifest.files[0].digest.removeprefix("sha256:")
    push(hub.store, bundle, uri_of(hub, "4.0.0"))
    content = blob.read_bytes()
    blob.unlink()
    name = hub.release("har", "4.0.0", unpushed(bundle), uri=uri_of(hub, "4.0.0"), paused=True)
    hub.until("it waits", lambda: hub.get("modelreleases", name).get("status", {}).get("reason") == "BundleIncomplete")
    assert conditions(hub.get("modelreleases", name))["Reconciling"]["status"] == "True"
    blob.write_bytes(content)
    hub.until("it is verified", lambda: hub.get("modelreleases", name)["status"].get("signature"))


def ask(hub, name: str, site: str, **changes: object) -> None:
    """A certificate request, as the administrator who runs this test."""
    spec = {
        "signerName": SIGNER,
        "usages": ["client auth"],
        "request": base64.b64encode(signing_request(site, ec_key())).decode(),
    }
    metadata = {"name": name}
    api = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    document = {**api, "metadata": metadata, "spec": spec | changes}
    # Impersonated, as the API server itself writes down who asks.
    who = ["--as=system:bootstrap:abcdef", "--as-group=system:bootstrappers:skerry:tc", "--as-group=system:masters"]
    hub.cluster.kubectl(*who, "create", "-f", "-", input=json.dumps(document))


def ec_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def answer(hub, name: str) -> str:
    item = json.loads(hub.cluster.kubectl("get", "csr", name, "-o", "json").stdout)
    return "".join(each["type"] for each in item["status"].get("conditions", []))


def test_a_site_is_let_in_when_two_agree(hub):
    try:
        ask(hub, "tc-early", "tc")
        ask(hub, "tc-forged", "ta")
        hub.until("the forged request is denied", lambda: answer(hub, "tc-forged") == "Denied")
        assert answer(hub, "tc-early") == ""
        hub.skerry("EdgeSite", "tc", {"hubAcceptsClient": True, "siteClassName": "lab"})
        hub.until("the early request is approved", lambda: answer(hub, "tc-early") == "Approved")
        hub.until(
            "its expiry is known", lambda: hub.get("edgesites", "tc", None).get("status", {}).get("credentialExpires")
        )
    finally:
        hub.cluster.kubectl("delete", "csr", "tc-early", "tc-forged", "--ignore-not-found")
        hub.cluster.kubectl("delete", "edgesites.skerry.dev", "tc", "--ignore-not-found")
        hub.cluster.kubectl("delete", "namespace", "skerry-site-tc", "--ignore-not-found", "--wait=false")
