"""Small pure parts of the hub: defaults, ring membership, served names, statuses, settings."""

from datetime import UTC, datetime, timedelta

import pytest

from skerry_api.v1alpha1.edgesite import EdgeSite, EdgeSiteSpec, ServedModel
from skerry_api.v1alpha1.fields import ObjectMeta
from skerry_api.v1alpha1.model import Analysis, Guardrails, Model, ModelSpec
from skerry_api.v1alpha1.modelrelease import FailedMetric, ModelRelease, ModelReleaseSpec
from skerry_api.v1alpha1.rolloutring import RolloutRing, RolloutRingSpec, RolloutStrategy
from skerry_api.v1alpha1.selector import LabelSelector
from skerry_api.v1alpha1.siteassignment import ModelPhase, SiteAssignment
from skerry_core.errors import UserMustActError
from skerry_core.trust.keys import generate_key_pair
from skerry_operator.hub.config import HubConfig
from skerry_operator.hub.inventory import SiteRecord
from skerry_operator.hub.release_status import rolled_back
from skerry_operator.hub.rollout.defaults import analysis_limits, effective_model, effective_ring
from skerry_operator.hub.rollout.ring_membership import policy_of, ring_of, rings_of
from skerry_operator.hub.served_names import claimed_by
from skerry_operator.hub.site_status import site_status, summary

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64


def ring(name: str, order: int, **labels: str) -> RolloutRing:
    spec = RolloutRingSpec(order=order, site_selector=LabelSelector(match_labels=labels))
    return RolloutRing(metadata=ObjectMeta(name=name), spec=spec)


def model(name: str, *, age: int, served: str | None = None) -> Model:
    created = NOW - timedelta(days=age)
    return Model(
        metadata=ObjectMeta(name=name, namespace="factory", creation_timestamp=created),
        spec=ModelSpec(served_name=served),
    )


def test_a_given_value_wins_and_its_neighbours_keep_their_defaults():
    limits = analysis_limits(Analysis(min_samples=7, guardrails=Guardrails(max_trips=1)))
    assert (limits.min_samples, limits.windows) == (7, 6)
    assert (limits.guardrails.max_trips, limits.guardrails.window) == (1, timedelta(minutes=1))
    assert effective_model("har", ModelSpec()).served_name == "har"


def test_zero_is_a_value():
    effective = effective_ring(RolloutRingSpec(order=0, rollout_strategy=RolloutStrategy(max_failures=0)))
    assert effective.rollout_strategy.max_failures == 0
    assert policy_of(ring("internal", 0)).max_concurrency == 10


@pytest.mark.parametrize(
    ("labels", "expected"),
    [({"tier": "x"}, "first"), ({"tier": "x", "zone": "y"}, "first"), ({"zone": "y"}, "second"), ({}, None)],
)
def test_a_site_is_in_the_first_ring_that_takes_it(labels, expected):
    rings = rings_of((), [ring("second", 2, zone="y"), ring("first", 1, tier="x"), ring("also", 2, zone="y", q="z")])
    assert [each.metadata.name for each in rings] == ["first", "also", "second"]
    assert ring_of(labels, rings) == expected


def test_a_model_may_name_its_rings():
    rings = [ring("a", 1), ring("b", 2)]
    assert [each.metadata.name for each in rings_of(("b",), rings)] == ["b"]


def test_the_older_model_keeps_the_name():
    old, new, other = model("har", age=2), model("har-two", age=1, served="har"), model("gait", age=3)
    assert claimed_by(old, [new, old, other]) is None
    assert claimed_by(new, [new, old, other]) == "factory/har"
    assert claimed_by(new, [new, other]) is None


def test_why_a_release_came_back_is_said_in_one_sentence():
    spec = ModelReleaseSpec(model="har", version="1.2.0", storage_uri="s3://skerry/models/har/1.2.0", digest=DIGEST)
    release = ModelRelease(metadata=ObjectMeta(name="har-1.2.0", generation=3), spec=spec)
    metric = FailedMetric(name="disagreement", observed=0.31, limit=0.05, site="site-a")
    status = rolled_back(release, metric, (), NOW)
    assert status.reason == "disagreement"
    assert status.observed_generation == 3
    assert {each.type: each.reason for each in status.conditions} == {"Ready": "RolledBack", "Stalled": "RolledBack"}
    assert status.conditions[0].message == (
        "disagreement failed at site-a: 0.31 observed, at most 0.05 allowed; release a corrected version"
    )


def edge_site(*, accepted: bool = True) -> EdgeSite:
    spec = EdgeSiteSpec(hub_accepts_client=accepted, site_class_name="lab")
    return EdgeSite(metadata=ObjectMeta(name="site-a", generation=1), spec=spec)


@pytest.mark.parametrize(
    ("last_seen", "accepted", "reachable", "reason"),
    [
        (None, True, "Unknown", "Unreachable"),
        (NOW - timedelta(minutes=2), True, "False", "Unreachable"),
        (NOW - timedelta(seconds=5), True, "True", "Assigning"),
        (None, False, "Unknown", "NotAccepted"),
    ],
)
def test_what_a_site_is_waiting_for(last_seen, accepted, reachable, reason):
    status = site_status(
        edge_site(accepted=accepted),
        None,
        last_seen=last_seen,
        max_age=timedelta(minutes=1),
        trouble=None,
        credential_expires=None,
        now=NOW,
    )
    found = {each.type: each for each in status.conditions}
    assert (found["Reachable"].status, found["Ready"].reason) == (reachable, reason)


@pytest.mark.parametrize(
    ("told", "said"), [("DiskTooSmall: 8 more bytes are needed", "DiskTooSmall: 8 more"), ("", "on its way")]
)
def test_what_keeps_a_model_from_a_site_is_said_at_the_hub(told, said):
    report = {"namespace": "f", "model": "har", "phase": "Downloading", "message": told}
    serial = {"incarnation": 1, "n": 1}
    assignment = SiteAssignment.model_validate(
        {
            "metadata": {"name": "current"},
            "spec": {"envelope": "{}", "serial": serial},
            "status": {"observedSerial": serial, "models": [report]},
        }
    )
    status = site_status(
        edge_site(),
        SiteRecord(assignment, None),
        last_seen=NOW,
        max_age=timedelta(minutes=1),
        trouble=None,
        credential_expires=None,
        now=NOW,
    )
    reconciling = next(each for each in status.conditions if each.type == "Reconciling")
    assert reconciling.reason == "Downloading"
    assert f"f/har: {said}" in reconciling.message


def test_the_summary_is_one_line():
    rows = [
        ("har", "1.1.0", ModelPhase.SERVING),
        ("gait", "2.0.1", ModelPhase.CANARY),
        ("new", None, ModelPhase.LOADING),
    ]
    served = tuple(ServedModel(namespace="f", model=name, version=at, phase=phase) for name, at, phase in rows)
    assert summary(served) == "har 1.1.0, gait 2.0.1 (Canary), new none (Loading)"


def test_settings_come_from_the_environment(tmp_path):
    keys = generate_key_pair()
    for name, content in (("trusted_root.json", b"{}"), ("policy.pub", keys.public_pem), ("hub.key", keys.private_pem)):
        (tmp_path / name).write_bytes(content)
    for name, value in (("accessKey", "id"), ("secretKey", "very-secret")):
        (tmp_path / name).write_text(value)
    environment = {
        "SKERRY_STORE_URI": "s3://skerry",
        "SKERRY_STORE_ENDPOINT": "http://10.0.0.1:9000",
        "SKERRY_STORE_PUBLIC_ENDPOINT": "https://s3.example.com",
        "SKERRY_STORE_KEYS_DIR": str(tmp_path),
        "SKERRY_TRUST_DIR": str(tmp_path),
        "SKERRY_HUB_KEY_FILE": str(tmp_path / "hub.key"),
        "SKERRY_INCARNATION": "3",
    }
    config = HubConfig.from_environment(environment)
    assert config.incarnation == 3
    assert config.public_endpoint == "https://s3.example.com"
    grant = config.grant_issuer().issue("site-a", [DIGEST], NOW)
    assert grant.blobs[DIGEST].startswith("https://s3.example.com/skerry/blobs/")
    for missing in ("SKERRY_STORE_URI", "SKERRY_STORE_ENDPOINT"):
        with pytest.raises(UserMustActError, match=missing):
            HubConfig.from_environment({**environment, missing: ""})
    with pytest.raises(UserMustActError, match="accessKey"):
        HubConfig.from_environment({**environment, "SKERRY_STORE_KEYS_DIR": str(tmp_path / "absent")})
    with pytest.raises(UserMustActError, match=r"absent\.key"):
        HubConfig.from_environment({**environment, "SKERRY_HUB_KEY_FILE": str(tmp_path / "absent.key")})
