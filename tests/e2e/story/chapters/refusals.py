"""7. What isn't what it says is refused: at the hub, and by the process that would load it."""

import base64
import json

import yaml

from tests.cluster.lab.waiting import wait_for
from tests.e2e.story.better import GOOD
from tests.e2e.story.forgery import StolenHubKey, copy_bundle, publish_unsigned, reference_of, tamper
from tests.e2e.story.platform import NAMESPACE, OTHER_MODEL, RUNTIME, SYSTEM
from tests.e2e.story.story import Story

SITE = "site-a"
# Bound to other people than the intruder; v0.9.0 is below the policy's minimum of v1.0.0.
TOO_OLD, FORGED = "0.9.0", "1.9.0"
INTRUDER = "intruder@elsewhere.example"


def tell(story: Story) -> None:
    """Offer the hub four bad bundles, and a node what a thief of the hub's key would sign."""
    _at_the_hub(story)
    _at_the_node(story)
    story.no_failures("while forgeries were offered")


def _at_the_hub(story: Story) -> None:
    bundles, store = story.work / "bundles", story.platform.store_environment()
    genuine = story.author.package(
        "1.1.0", story.work / "trained/1.1.0.onnx", folder=bundles / "forged-base", version=FORGED
    )
    story.author.sign(genuine)

    tampered = copy_bundle(genuine, bundles / "tampered")
    tamper(tampered)
    _refused(story, "a tampered bundle", story.author.push(tampered, store, "forged/tampered"), "SignatureInvalid")

    uri = publish_unsigned(story, genuine, "forged/unsigned")
    unsigned = yaml.safe_load(story.author.push(genuine, store, "forged/genuine"))
    unsigned["spec"]["storageUri"] = uri
    _refused(story, "an unsigned bundle", yaml.safe_dump(unsigned), "SignatureInvalid")

    stranger = copy_bundle(genuine, bundles / "stranger")
    story.author.sign(stranger, INTRUDER)
    _refused(
        story,
        "a bundle signed by the wrong identity",
        story.author.push(stranger, store, "forged/stranger"),
        "SignerNotAllowed",
    )

    renamed = yaml.safe_load(story.author.push(genuine, store, "forged/genuine"))
    renamed["spec"]["model"] = OTHER_MODEL
    story.hub.apply(yaml.safe_dump(_other_model()))
    _refused(
        story,
        "a good signature under another model's name",
        yaml.safe_dump(renamed),
        "ManifestMismatch",
        "SignatureInvalid",
    )


def _refused(story: Story, what: str, release: str, *reasons: str) -> None:
    """Apply a release under a name of its own and wait until the hub refuses it for one of these reasons."""
    manifest = yaml.safe_load(release)
    manifest["metadata"]["name"] = "forged-" + what.replace(" ", "-").replace("'", "")
    story.hub.apply(yaml.safe_dump(manifest))

    def status() -> dict[str, object]:
        got = story.platform.hub.kubectl(
            "get", "modelrelease", manifest["metadata"]["name"], f"--namespace={NAMESPACE}", "--output=json"
        )
        found: dict[str, object] = json.loads(got.stdout).get("status", {})
        return found

    wait_for(f"the hub refuses {what}", lambda: status().get("phase") == "Refused", seconds=60, every=0.5)
    reason = status().get("reason")
    story.narrator.show(f"the hub refuses {what}", reason in reasons, str(reason))
    story.platform.hub.kubectl("delete", "modelrelease", manifest["metadata"]["name"], f"--namespace={NAMESPACE}")


def _other_model() -> dict[str, object]:
    return {
        "apiVersion": "skerry.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": OTHER_MODEL, "namespace": NAMESPACE},
        "spec": {"siteSelector": {"matchLabels": {"posture": "yes"}}},
    }


def _at_the_node(story: Story) -> None:
    site = story.sites[SITE]
    thief = StolenHubKey(story, SITE)
    # Without the site operator nobody puts the genuine mirror back at once.
    site.kubectl("scale", "deployment", "skerry-site", f"--namespace={SYSTEM}", "--replicas=0")
    site.kubectl(
        "wait",
        "--for=delete",
        "pod",
        f"--namespace={SYSTEM}",
        "--selector=app.kubernetes.io/name=skerry-site",
        "--timeout=60s",
    )
    _hand_edited_mirror(story, thief)
    _stolen_key(story, thief)
    site.kubectl("scale", "deployment", "skerry-site", f"--namespace={SYSTEM}", "--replicas=1")


def _hand_edited_mirror(story: Story, thief: StolenHubKey) -> None:
    genuine = thief.offering(reference_of(story.author.bundle("1.2.0")))
    spec = thief.sealed(genuine)
    envelope = json.loads(str(spec["envelope"]))
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload["models"][0]["analysis"]["maxDisagreement"] = 1.0
    envelope["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    _put_mirror(story, spec | {"envelope": json.dumps(envelope)})
    wait_for(
        "the node refuses a mirror edited by hand",
        lambda: "EnvelopeInvalid" in _node_reasons(story),
        seconds=60,
        every=0.5,
    )
    story.narrator.show(
        "the local mirror, edited by hand, is refused at the node",
        story.traffic[SITE].serves_only(GOOD),
        "EnvelopeInvalid",
    )


def _stolen_key(story: Story, thief: StolenHubKey) -> None:
    bundles, trained = story.work / "bundles", story.work / "trained/1.1.0.onnx"
    stranger = bundles / "stranger"
    unlisted = story.author.package("1.1.0", trained, folder=bundles / "unlisted", model="unlisted", version=FORGED)
    old = story.author.package("1.1.0", trained, folder=bundles / "old", version=TOO_OLD)
    for folder in (unlisted, old):
        story.author.sign(folder)
        story.author.push(folder, story.platform.store_environment(), f"forged/{folder.name}")
    for what, folder, model, reason in (
        ("an unlisted model", unlisted, "unlisted", "ModelNotListed"),
        ("an unlisted signer", stranger, None, "SignerNotAllowed"),
        ("a version below the minimum", old, None, "VersionTooOld"),
    ):
        document = thief.offering(reference_of(folder), model=model)
        grant = thief.grant(story.platform.store(), document, folder)
        _put_grant(story, grant.to_wire())
        _put_mirror(story, thief.sealed(document))
        wait_for(
            f"the node refuses {what}", lambda reason=reason: reason in _model_reasons(story), seconds=60, every=0.5
        )
        story.narrator.show(
            f"an assignment by a thief of the hub key, naming {what}, is refused at the node",
            story.traffic[SITE].serves_only(GOOD),
            reason,
        )


def _put_mirror(story: Story, spec: dict[str, object]) -> None:
    patch = json.dumps({"spec": spec})
    story.sites[SITE].kubectl(
        "patch", "siteassignment", "current", f"--namespace={RUNTIME}", "--type=merge", f"--patch={patch}"
    )


def _put_grant(story: Story, grant: dict[str, object]) -> None:
    patch = json.dumps({"stringData": {"grant.json": json.dumps(grant)}})
    story.sites[SITE].kubectl("patch", "secret", "store-grant", f"--namespace={RUNTIME}", f"--patch={patch}")


def _node_reasons(story: Story) -> set[str]:
    """Reasons of the conditions of the site's only node."""
    return {condition["reason"] for condition in story.node_status(SITE).get("conditions", [])}


def _model_reasons(story: Story) -> set[str]:
    return {report.get("reason", "") for report in story.node_status(SITE).get("models", [])}
