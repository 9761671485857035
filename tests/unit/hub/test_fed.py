"""Sets that no event reaches: what FeatureSet and site say of it, until the policy is mended."""

from dataclasses import replace

import pytest

from skerry_api.conditions import find
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.featureset import FeatureSet
from skerry_api.v1alpha1.siteclass import RuntimeResources
from skerry_api.v1alpha1.syncpolicy import SyncPolicySpec
from skerry_core.assignment.document import AssignmentDocument, RuntimeTemplate
from skerry_core.assignment.spec import spec_of
from skerry_core.canonical import canonical_json
from skerry_core.features.fed import Source, Unfed, source_of, unfed
from skerry_core.store.blobs import put_bytes
from skerry_core.store.memory import MemoryStore
from skerry_core.trust.assignment import seal_assignment
from skerry_core.trust.policy import PolicyDocument
from skerry_operator.hub.fed import features_fed, stream_declared
from skerry_operator.hub.hub import ActivePolicy
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.published import PublishedReader
from skerry_operator.hub.reconcile.feature_set import reconcile_feature_set
from skerry_operator.hub.reconcile.site import SiteReconciler
from skerry_operator.hub.reconcile.sync_policy import reconcile_sync_policy
from skerry_operator.hub.sync_policy.resolve import document_of, effective_policy
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import EDGE_SITES, FEATURE_SETS, SITE_ASSIGNMENTS, SITE_CLASSES, SYNC_POLICIES
from tests.unit.hub.a_hub import HUB_KEY, NOW, make_hub, put
from tests.unit.hub.feature_sets import FIELDS, feature, resolved, spec

MODEL = {"name": "model", "path": "device.model", "type": "String"}
OIL = {"name": "oil", "type": "Float64", "unit": "bar", "sourceUnits": ["bar"]}
SET, POLICY, SITE = Key(FEATURE_SETS, "f", "presses"), Key(SYNC_POLICIES, "f", "floor"), Key(EDGE_SITES, "", "site-a")


def policy(*streams):
    return document_of(effective_policy(SyncPolicySpec.model_validate({"streams": list(streams)})))


def stream(name="vibration", **more):
    return {"name": name, "tier": "Bulk", **more}


NOTHING, OTHER = policy(), policy(stream("other"))
DECLARED, OF_DEVICES = policy(stream()), policy(stream(devicePath="subject"))


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        (FIELDS, False),
        ((*FIELDS, MODEL), True),
        ((*FIELDS, {**MODEL, "required": False}), False),
        ((*FIELDS, {**OIL, "unitFrom": ["device.unit"]}), True),
        ((*FIELDS, {**OIL, "unitFrom": ["data.unit", "device.unit"]}), False),
        ((*FIELDS, {**OIL, "unitFrom": ["device.unit"], "sourceUnit": "psi"}), False),
        ((*FIELDS, {**OIL, "unitFrom": ["device.unit"], "required": False}), False),
    ],
)
def test_which_sets_need_to_know_devices(fields, needs):
    assert source_of(resolved(spec(fields=fields))) == Source("f/presses 1.0.0", "vibration", needs)


def test_a_set_by_what_is_known_of_devices_needs_to_know_them():
    assert source_of(resolved(spec(entities=[{"name": "hall", "path": "device.hall"}]))).needs_device


@pytest.mark.parametrize(
    ("source", "given", "reason"),
    [
        (Source("s", "vibration", needs_device=False), NOTHING, Unfed.STREAM_NOT_DECLARED),
        (Source("s", "vibration", needs_device=True), OTHER, Unfed.STREAM_NOT_DECLARED),
        (Source("s", "vibration", needs_device=False), DECLARED, None),
        (Source("s", "vibration", needs_device=True), DECLARED, Unfed.DEVICE_PATH_MISSING),
        (Source("s", "vibration", needs_device=True), OF_DEVICES, None),
        (Source("s", "predictions", needs_device=False), NOTHING, None),
    ],
)
def test_what_keeps_events_from_a_set(source, given, reason):
    found = unfed(source, given)
    assert (found and found[0]) == reason
    if found is not None:
        assert source.stream in found[1]


@pytest.mark.parametrize(
    ("needs", "policies", "expected"),
    [
        (False, {}, ("False", "StreamNotDeclared", "no SyncPolicy declares stream vibration")),
        (False, {"f/a": OTHER}, ("False", "StreamNotDeclared", "no SyncPolicy declares stream vibration")),
        (False, {"f/a": OTHER, "f/b": DECLARED}, ("True", "Declared", "declared by f/b")),
        (True, {"f/a": OTHER, "f/b": DECLARED}, ("False", "DevicePathMissing", "SyncPolicy f/b: it needs")),
        (True, {"f/c": OF_DEVICES, "f/b": DECLARED, "f/a": OF_DEVICES}, ("True", "Declared", "declared by f/a, f/c")),
    ],
)
def test_a_feature_set_says_whether_any_policy_feeds_it(needs, policies, expected):
    found = stream_declared(Source("s", "vibration", needs), policies.items())
    status, reason, words = expected
    assert (found.type, found.status, found.reason) == ("StreamDeclared", status, reason)
    assert words in found.message


def test_skerrys_own_streams_are_declared_everywhere():
    assert stream_declared(Source("s", "predictions", needs_device=False), ()).reason == "BuiltIn"


def test_a_site_says_which_of_its_sets_get_no_events():
    fed, unfed_one = (
        Source("f/a 1.0.0", "vibration", needs_device=False),
        Source("f/b 2.0.0", "oil", needs_device=False),
    )
    assert features_fed((), NOTHING) is None
    assert features_fed([fed], DECLARED).status == "True"
    found = features_fed([fed, unfed_one], DECLARED)
    assert (found.status, found.reason) == ("False", "StreamNotDeclared")
    assert found.message.startswith("f/b 2.0.0: its stream oil isn't declared")
    assert "f/a" not in found.message


class World:
    def __init__(self):
        self.store = MemoryStore()
        self.queued = []
        self.hub = make_hub(MemoryKube(), self.store, self.queued)
        self.hub.trust.active = ActivePolicy(PolicyDocument(serial=1, issued_at=NOW, bindings=()), "sha256:" + "5" * 64)

    def apply(self, key, wire):
        body = {"metadata": {"name": key.name, "namespace": key.namespace}, "spec": wire}
        self.hub.inventory.observe(key.resource, "MODIFIED", self.hub.kube.apply(key.resource, body))

    def declare(self, *streams):
        self.apply(POLICY, {"streams": list(streams)})
        reconcile_sync_policy(self.hub, POLICY)

    def condition(self):
        reconcile_feature_set(self.hub, SET)
        status = self.hub.inventory.get(FeatureSet, SET.name, SET.namespace).status
        found = find(status.conditions, "StreamDeclared")
        return found and (found.status, found.reason)

    def site_condition(self):
        SiteReconciler(self.hub)(SITE)
        found = find(self.hub.inventory.get(EdgeSite, "site-a").status.conditions, "FeaturesFed")
        return found and (found.status, found.reason)

    def tell_site(self, **told):
        document = AssignmentDocument(
            site="site-a",
            serial={"incarnation": 1, "n": 7},
            issued_at=NOW,
            trust_policy="sha256:" + "5" * 64,
            runtime=RuntimeTemplate(image="skerry-edge:0.1.0", resources=RuntimeResources()),
            models=(),
            removals=(),
            **told,
        )
        spec_of_it = spec_of(seal_assignment(document, HUB_KEY.private_pem), document).to_wire()
        self.apply(Key(SITE_ASSIGNMENTS, "skerry-site-site-a", "current"), spec_of_it)


def test_the_condition_follows_the_policies():
    world = World()
    world.apply(SET, spec())
    assert world.condition() == ("False", "StreamNotDeclared")
    for declared, expected in (
        ([stream("other")], ("False", "StreamNotDeclared")),
        ([stream("other"), stream()], ("True", "Declared")),
        ([stream("other")], ("False", "StreamNotDeclared")),
    ):
        world.queued.clear()
        world.declare(*declared)
        assert world.queued == [SET]
        assert world.condition() == expected
    world.apply(SET, spec(feature(value="nothing"), version="1.1.0"))
    assert world.condition() is None


def test_a_policy_that_is_not_in_the_store_keeps_no_set_from_being_published():
    world = World()
    world.apply(SET, spec())
    world.declare(stream())
    world.store.objects.clear()
    world.hub = replace(world.hub, published=PublishedReader(world.store))
    assert world.condition() == ("Unknown", "ObjectMissing")
    assert find(world.hub.inventory.get(FeatureSet, "presses", "f").status.conditions, "Ready").status == "True"


def test_a_policy_that_could_not_be_read_is_read_again():
    """What it declares isn't known meanwhile: nobody is told to declare it once more."""
    world = World()
    world.apply(SET, spec())
    world.declare(stream())
    kept = dict(world.store.objects)
    world.store.objects.clear()
    world.hub = replace(world.hub, published=PublishedReader(world.store))
    assert reconcile_feature_set(world.hub, SET) is not None
    world.store.objects.update(kept)
    assert world.condition() == ("True", "Declared")
    assert reconcile_feature_set(world.hub, SET) is None


def test_a_site_is_judged_by_what_it_was_told():
    world = World()
    put(world.hub, SITE_CLASSES, "lab", {"image": "skerry-edge:0.1.0"})
    put(world.hub, EDGE_SITES, "site-a", {"siteClassName": "lab", "hubAcceptsClient": False})
    assert world.site_condition() is None
    given = put_bytes(world.store, canonical_json(resolved(spec()))).digest
    good, bad = (put_bytes(world.store, canonical_json(each)).digest for each in (DECLARED, OTHER))
    lost = "sha256:" + "9" * 64
    for told, expected in (
        ({}, None),
        ({"feature_sets": (given,)}, ("False", "StreamNotDeclared")),
        ({"feature_sets": (given,), "sync_policy": bad}, ("False", "StreamNotDeclared")),
        ({"feature_sets": (given,), "sync_policy": good}, ("True", "Declared")),
        ({"feature_sets": (given, lost), "sync_policy": good}, ("Unknown", "ObjectMissing")),
    ):
        world.tell_site(**told)
        assert world.site_condition() == expected
