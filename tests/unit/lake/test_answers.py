"""Staged fleets in real Delta tables: stale features, a bad release, a damaged cache; and the views that tell."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from typer.testing import CliRunner

from skerry_core.batch.contents import LogName, Row
from skerry_core.bundle.training import Training, TrainingRound
from skerry_core.canonical import canonical_json
from skerry_core.lineage.causes import Cause, judge_causes
from skerry_core.lineage.record import FeatureLineage, PairRecord, Prediction
from skerry_core.store.blobs import put_bytes
from skerry_operator.cli.explanation_text import verdict_lines
from skerry_operator.cli.main import app
from skerry_operator.ingest.lineage import answer_cells
from skerry_operator.ingest.query import opened
from tests.unit.inference.releases import manifest
from tests.unit.lake.test_lineage import upload

NODES = (("berlin", "n1"), ("berlin", "n2"), ("rome", "n3"))
OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64
HOUR = 3600 * 10**6
NOW = int(datetime.now(UTC).timestamp()) * 10**6


def answer(*, release=OLD, stale=False, disagrees=0, error="", since=NOW - 2 * HOUR, **more):
    """A canary's or an ordinary answer, as a node records it, by features since then."""
    lineage = FeatureLineage(
        "f", "plant/presses", "1.0.0", "d" * 12, "e" * 16, 3, since, (5,), ("mean",) if stale else (), (2,)
    )
    pair = PairRecord(OLD, release, 0.001, 0.002, 4, disagrees, error) if release == NEW else None
    version = "1.0.0" if release == OLD else "2.0.0"
    return Prediction(
        "r",
        "team",
        "har",
        version,
        release,
        "champion",
        0.001,
        4,
        pair,
        {"press": "p"},
        (lineage,),
        runtime="r",
        **more,
    )


class Fleet:
    """What three nodes upload."""

    def __init__(self, hub):
        self.hub = hub
        self.records = {node: [] for node in NODES}

    def answers(self, node, count, **what):
        self.records[node] += [msgspec.json.encode(answer(**what))] * count

    def upload(self, stream="predictions", bodies=None, node=None, at=NOW - HOUR):
        for where in NODES if node is None else (node,):
            records = self.records[where] if bodies is None else bodies
            rows = [Row(seq, seq, at, at, 0, body) for seq, body in enumerate(records, start=1)]
            if rows:
                upload(self.hub, LogName(*where, stream, "e" * 16), 0, rows)

    def labels(self, node, wrong):
        """A label for each answer that says whether it was right, by place in the node's log."""
        bodies = [
            json.dumps(
                {
                    "data": {
                        "prediction": f"{node[0]}/{node[1]}/{'e' * 16}/{seq}",
                        "values": [9.0 if seq in wrong else 1.0],
                    }
                }
            )
            for seq in range(1, len(self.records[node]) + 1)
        ]
        self.upload("labels", [body.encode() for body in bodies], node)

    def verdict(self, model="har", **back):
        self.hub.run()
        with opened(self.hub.lake) as query:
            return judge_causes(
                answer_cells(self.hub.lake, query, model, datetime.now(UTC) - timedelta(**back or {"days": 7}))
            )


@pytest.fixture
def fleet(hub):
    return Fleet(hub)


def likely(verdict):
    return [(each.likely.cause, each.likely.subject) for each in verdict.findings]


def test_stale_features(fleet):
    """Sensors of all sites fell silent for some presses: of those, models disagree."""
    for node in NODES:
        fleet.answers(node, 80, decided=(1.0,)) if "decided" in Prediction.__struct_fields__ else fleet.answers(
            node, 80
        )
        fleet.answers(node, 15, stale=True, release=NEW, disagrees=2)
        fleet.answers(node, 60, release=NEW)
        fleet.answers(node, 10, stale=True)
    fleet.upload()
    verdict = fleet.verdict()
    assert likely(verdict) == [(Cause.STALE_FEATURES, "")]
    suspect = verdict.findings[0].likely
    assert (suspect.exposed_bad, suspect.exposed, suspect.other_bad) == (45, 75, 0)


def test_a_bad_release(fleet):
    """Where both run they disagree, on every node, whatever the features' age."""
    for node in NODES:
        fleet.answers(node, 80)
        fleet.answers(node, 5, stale=True)
        fleet.answers(node, 30, release=NEW, disagrees=3)
        fleet.answers(node, 5, release=NEW, error="Timeout")
        fleet.answers(node, 5, release=NEW)
    fleet.upload()
    assert likely(fleet.verdict()) == [(Cause.ROLLOUT, NEW)]


def test_a_release_that_a_node_put_aside(fleet):
    for node in NODES:
        fleet.answers(node, 80)
    fleet.records[NODES[0]] += [msgspec.json.encode(msgspec.structs.replace(answer(release=NEW), pair=None))] * 40
    fleet.upload()
    fleet.upload(
        "rollbacks",
        [msgspec.json.encode({"namespace": "team", "model": "har", "digest": NEW, "reason": "x"})],
        NODES[0],
    )
    assert likely(fleet.verdict()) == [(Cause.ROLLOUT, NEW)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        {"counts": {"damagedBlobs": 1}},
        {"counts": {"damagedBytes": 4096}},
        {"counts": {"rebuiltFeatures": 1, "errors": 9}, "by": [["errors", "…", 9]]},
    ],
)
def test_a_damaged_cache(fleet, damage):
    """One node's store was damaged: its models disagree there, and nowhere else."""
    for node in NODES:
        fleet.answers(node, 60, release=NEW)
        fleet.answers(node, 60)
    fleet.answers(NODES[1], 40, release=NEW, disagrees=2, stale=True)
    fleet.upload()
    window = {"start": "2000-01-01T00:00:00Z", "end": "2000-01-01T00:01:00Z"}
    started = datetime.fromtimestamp((NOW - 2 * HOUR) / 1e6, UTC).isoformat().replace("+00:00", "Z")
    for node in NODES:
        # Another node's damage is long past.
        told = {"window": window | ({"start": started} if node == NODES[1] else {})} | damage
        fleet.upload("telemetry", [json.dumps({"type": "dev.skerry.telemetry.v1", "data": told}).encode()], node)
    verdict = fleet.verdict()
    assert likely(verdict) == [(Cause.CORRUPT_CACHE, "berlin/n2")]
    assert verdict.findings[0].through.cause is Cause.STALE_FEATURES


@pytest.mark.slow
@pytest.mark.parametrize(("reach", "cause"), [(9, Cause.CORRUPT_CACHE), (2, Cause.NODE)])
def test_damage_counts_as_long_as_windows_reach_back_to_it(fleet, reach, cause):
    """A node lost its features five days ago."""
    for node in NODES:
        fleet.answers(node, 60, release=NEW, since=NOW - reach * 24 * HOUR)
    fleet.upload(at=NOW - 6 * 24 * HOUR)
    started = datetime.fromtimestamp((NOW - 5 * 24 * HOUR) / 1e6, UTC).isoformat().replace("+00:00", "Z")
    told = {"window": {"start": started, "end": started}, "counts": {"rebuiltFeatures": 1}}
    fleet.upload("telemetry", [json.dumps({"type": "dev.skerry.telemetry.v1", "data": told}).encode()], NODES[1])
    bad = [msgspec.json.encode(answer(release=NEW, disagrees=2, since=NOW - reach * 24 * HOUR))] * 40
    rows = [Row(seq, seq, NOW - HOUR, NOW - HOUR, 0, body) for seq, body in enumerate(bad, start=61)]
    upload(fleet.hub, LogName(*NODES[1], "predictions", "e" * 16), 60, rows)
    assert likely(fleet.verdict()) == [(cause, "berlin/n2")]


def test_one_nodes_nonsense_keeps_no_cause_from_being_found(fleet):
    nonsense = ["x", [{"since": "x", "stale": 3}], [{"since": 2**63 - 1}], {"set": 1}]
    for node in NODES:
        fleet.answers(node, 80)
        fleet.answers(node, 30, release=NEW, disagrees=3)
    fleet.records[NODES[0]] += [
        msgspec.json.encode(msgspec.to_builtins(answer()) | {"features": features}) for features in nonsense
    ]
    fleet.upload()
    told = {"window": {"start": "yesterday"}, "counts": {"rebuiltFeatures": 1}}
    fleet.upload("telemetry", [json.dumps({"type": "dev.skerry.telemetry.v1", "data": told}).encode()], NODES[1])
    assert likely(fleet.verdict()) == [(Cause.ROLLOUT, NEW)]


def trained(hub, version, name):
    """A release that came of a round, in the store; its digest."""
    training = Training(round=TrainingRound(id=name, at=datetime(2026, 11, 20, tzinfo=UTC)))
    return put_bytes(hub.store, canonical_json(manifest(version, training=training))).digest


def test_a_round_of_training(fleet, hub):
    """Two releases came of one round, each on some sites, and labels contradict both; those before are well."""
    before, *bad = (trained(hub, *each) for each in (("1.0.0", "w46"), ("1.1.0", "w47"), ("1.1.1", "w47")))
    for number, node in enumerate(NODES):
        releases = [before] * 40 + [bad[number % 2]] * 40
        fleet.records[node] = [msgspec.json.encode(answer(release=release, decided=(1.0,))) for release in releases]
        fleet.labels(node, wrong=range(51, 81))
    fleet.upload()
    verdict = fleet.verdict()
    assert likely(verdict) == [(Cause.TRAINING_ROUND, "w47")]
    assert "likely cause: the training round w47" in "\n".join(verdict_lines(verdict))


def test_labels_mark_what_is_wrong(fleet):
    for node in NODES:
        fleet.records[node] = [
            msgspec.json.encode(msgspec.to_builtins(answer(stale=seq > 40)) | {"decided": [1.0]}) for seq in range(60)
        ]
        fleet.labels(node, wrong=range(42, 61))
    fleet.upload()
    assert likely(fleet.verdict()) == [(Cause.STALE_FEATURES, "")]


def test_a_fleet_that_is_well(fleet):
    for node in NODES:
        fleet.answers(node, 30)
    fleet.upload()
    verdict = fleet.verdict("team/har")
    assert (verdict.answers, verdict.bad, verdict.findings) == (90, 0, ())


def test_by_the_command_line(fleet, hub):
    run = CliRunner().invoke
    assert "no prediction of har" in run(app, ["explain", "--fleet", "har", "--store", hub.lake.uri]).stderr
    for node in NODES:
        fleet.answers(node, 80)
        fleet.answers(node, 30, release=NEW, disagrees=3)
    fleet.upload()
    hub.run()
    answer = run(app, ["explain", "--fleet", "team/har", "--store", hub.lake.uri])
    assert answer.exit_code == 0, answer.stderr
    assert f"likely cause: the release {NEW}" in answer.stdout
    answer = run(app, ["explain", "--fleet", "har", "--since", "24h", "--json", "--store", hub.lake.uri])
    assert json.loads(answer.stdout)["findings"][0]["likely"]["cause"] == "Rollout"
    for refused in (["--fleet", "other/har"], ["--fleet", "har", "--since", "1w"], ["--fleet", "har", "a/b/c/1"], []):
        assert run(app, ["explain", *refused, "--store", hub.lake.uri]).exit_code != 0
    assert run(app, ["explain", "--fleet", "har"]).exit_code == 2


def test_the_views(fleet, hub):
    fleet.answers(NODES[0], 2, release=NEW, disagrees=3, stale=True)
    fleet.answers(NODES[0], 3)
    fleet.upload()
    hub.run()
    with opened(hub.lake) as query:
        (bad, good) = query.run("SELECT * FROM bad_answers").read_all().to_pylist()
    assert (bad["release"], bad["feature_sets"], bad["stale"], bad["bad"], bad["disagrees"], bad["wrong"]) == (
        NEW,
        "plant/presses 1.0.0",
        True,
        2,
        2,
        0,
    )
    assert (good["answers"], good["bad"], good["damaged"]) == (3, 0, False)
