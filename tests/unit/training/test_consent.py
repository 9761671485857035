"""Who may be trained on: the fold of the hub's records, and builds that go by it."""

import json

import pytest

from skerry_api.v1alpha1.syncpolicy import Consent
from skerry_core.sync_policy.document import DataClassPolicy
from skerry_edge.sync.outbound.consent_record import ConsentRecords
from skerry_edge.sync.outbound.path import Tally
from skerry_edge.sync.outbound.rules import Rules
from skerry_operator.training.consent import Accounted, ConsentRecord, fold, read_records
from tests.unit.training.world import vectors

HERE, THERE, ELSEWHERE = ("berlin", "node-1"), ("berlin", "node-2"), ("rome", "node-1")
TRAINING = frozenset({"training"})


def granted(hlc, subject="ann", *, node=HERE, classes=TRAINING, **more):
    return ConsentRecord(node, hlc, subject, classes=frozenset(classes), **more)


def withdrawn(hlc, subject="ann", **more):
    return granted(hlc, subject, withdrawn=True, **more)


@pytest.mark.parametrize(
    ("records", "covered"),
    [
        ([], []),
        ([granted(10)], [11, 30]),
        ([granted(10), withdrawn(20)], []),
        ([granted(10), withdrawn(20), granted(25)], [30]),
        ([granted(10), granted(20)], [11, 30]),
        ([granted(10, classes={"other"})], []),
        ([granted(10), withdrawn(20, classes={"other"})], [11, 30]),
        ([granted(10), withdrawn(20, node=THERE)], []),
        ([granted(20), withdrawn(10, node=THERE)], [30]),
        ([granted(10), withdrawn(20, node=ELSEWHERE)], [11, 30]),
        ([granted(10, node=THERE)], []),
        ([granted(10), granted(20, classes=())], []),
        ([granted(10), granted(20, None)], []),
        ([granted(10), granted(20, None, node=THERE)], [11, 30]),
        ([granted(10), granted(20, "bob", lost=True)], []),
        ([granted(10, names=frozenset({"x"})), withdrawn(20, "bob", names=frozenset({"ann"}))], []),
        # Told from node to node: by the other node's clock it was withdrawn before it was granted.
        ([granted(10, relay="r"), granted(20, "r", relayed=True), withdrawn(5, node=THERE, relay="r")], []),
        ([granted(10, relay="r"), granted(20, "r", relayed=True), granted(25, relay="r")], [30]),
        ([granted(10, relay="r"), granted(20, "r", relayed=True, classes={"other"})], [11, 30]),
        ([granted(10, relay="r"), granted(20, "r", relayed=True, classes=())], []),
        ([granted(10, relay="r"), granted(20, "q", relayed=True)], [11, 30]),
        ([granted(10, relay="r"), granted(20, "r", relayed=True, node=THERE)], [11, 30]),
    ],
)
def test_when_what_a_node_recorded_of_somebody_may_be_used(records, covered):
    consents = fold(records, TRAINING)
    assert [hlc for hlc in (5, 10, 11, 30) if consents.covers(HERE, "ann", hlc)] == covered
    assert not consents.covers(HERE, None, 30)


def test_all_classes_must_be_granted_and_names_are_bound_together():
    both = frozenset({"operators", "training"})
    records = [granted(10, "h1", classes=both, names=frozenset({"h2"}))]
    assert fold(records, both).covers(HERE, "h2", 11)
    records.append(withdrawn(20, "h1"))
    assert not fold(records, both).covers(HERE, "h2", 30)
    assert fold(records, frozenset({"operators"})).covers(HERE, "h2", 30)


def row(seq, subject="ann", epoch="e", kind="granted", **more):
    return {
        "site": "berlin",
        "node": "node-1",
        "epoch": epoch,
        "seq": seq,
        "hlc": seq,
        "type": f"dev.skerry.consent.{kind}",
        "subject": subject,
        "data_dataclasses": '["training"]',
        **more,
    }


LOG = ("berlin", "node-1", "e")


@pytest.mark.parametrize(
    ("rows", "logs", "covered"),
    [
        ([row(1)], {}, True),
        ([row(1), row(2, "bob")], {}, True),
        ([row(1), row(3, "bob")], {}, False),
        ([row(1), row(3, "bob")], {LOG: Accounted(((2, 2),), 3)}, True),
        ([row(1), row(5, "bob")], {LOG: Accounted(((2, 3),), 5)}, False),
        ([row(1)], {LOG: Accounted((), 2)}, False),
        ([row(1)], {LOG: Accounted(((2, 9),), 9)}, True),
        ([row(1), row(1, "bob", epoch="f")], {}, False),
        ([row(1), row(2, None)], {}, False),
        ([row(1, data_dataclasses="training")], {}, False),
        ([row(1, kind="given")], {}, False),
        ([row(1, None, set_aside="odd", body=json.dumps({"subject": "ann", "type": "dev.skerry.consent.granted",
          "data": {"dataClasses": ["training"]}}))], {}, True),
        ([row(1), row(2, None, set_aside="odd", body="{")], {}, False),
        # What nodes tell each other; after a loss at another one, nobody's consent holds here.
        ([row(1, data_relay="r"), row(2, "r", kind="relayed")], {}, False),
        ([row(1, None, set_aside="odd", body=json.dumps({"subject": "ann", "type": "dev.skerry.consent.granted",
          "data": {"dataClasses": ["training"], "relay": "r"}})), row(2, "r", kind="relayed")], {}, False),
        ([row(1, data_relay="r"), row(2, "q", kind="relayed")], {}, True),
        ([row(1), row(2, None, kind="lost", data_dataclasses="[]")], {}, False),
    ],
)  # fmt: skip
def test_records_out_of_the_table(rows, logs, covered):
    assert fold(read_records(rows, logs), TRAINING).covers(HERE, "ann", 30) is covered


@pytest.mark.slow
def test_without_consent_events_and_rows_are_in_no_build(world):
    world.event({"rms": 9.0}, "ann")
    world.event({"rms": 9.0}, "bob")
    world.passes(1)
    for subject in ("ann", "bob", "eve"):
        world.consent(subject, "training")
    world.passes(7200)
    for subject in ("ann", "bob", "eve", "zoe"):
        world.event({"rms": 1.0}, subject)
    world.passes(1)
    world.consent("bob", "training", withdrawn=True)
    world.passes(1)
    now = world.clocks.wall
    world.passes(1)
    world.event({"rms": 1.0}, "eve")
    world.ship()
    asked = [(now, (who,)) for who in ("zoe", "ann", "bob", "eve")]
    told, table = world.build("--rows", world.rows_file(asked), consent=("--consent", "training"))
    assert table["press"].to_pylist() == ["ann", "eve"]
    assert table["sum"].to_pylist() == [1.0, 1.0]
    assert (told["rows"], told["rowsLeftOut"]["noConsent"], told["events"]["noConsent"]) == (2, 2, 2)
    everybody, _ = world.build("--rows", world.rows_file(asked))
    assert everybody["rows"] == 4
    nobody, _ = world.build("--rows", world.rows_file(asked), consent=("--consent", "training", "--consent", "more"))
    assert nobody["rows"] == 0


def test_a_row_whose_windows_hold_events_without_consent_is_left_out(world):
    world.event({"rms": 9.0}, "ann")
    world.passes(1)
    world.consent("ann", "training")
    world.event({"rms": 1.0}, "ann")
    world.passes(1)
    soon = world.clocks.wall
    world.passes(7200)
    world.event({"rms": 1.0}, "ann")
    world.passes(1)
    late = world.clocks.wall
    world.ship()
    asked = world.rows_file([(soon, ("ann",)), (late, ("ann",))])
    told, table = world.build("--rows", asked, consent=("--consent", "training"))
    assert table["event_timestamp"].cast("int64").to_pylist() == [late]
    assert told["events"]["noConsent"] == 1


def test_a_lake_without_records_of_consent_gives_no_rows(world):
    world.event({"rms": 9.0}, "ann")
    world.ship()
    told, _ = world.build("--rows", world.rows_file([(world.clocks.wall, ("ann",))]), consent=("--consent", "training"))
    assert told["rows"] == 0


def test_subjects_that_left_the_site_by_hash(world):
    """As a site sends them: consent by its own hashes, events by those of their data class."""
    classes = [
        DataClassPolicy(name=name, consent=Consent.REQUIRED, hash_subject=hashed)
        for name, hashed in (("operators", True), ("training", False))
    ]
    records, rules = ConsentRecords(classes, b"salt", b"relay"), Rules.compile(classes[0], b"salt")

    def leaving(stream, row):
        made = {"consent": records, "vibration": rules}.get(stream)
        if made is None:
            return row
        body = made.apply(row.body, Tally())
        return type(row)(row.seq, row.hlc, row.time, row.received, row.flags, body)

    hashed = {}
    for who in ("ann", "bob"):
        world.consent(who, "operators", "training")
        hashed[who] = json.loads(rules.apply(json.dumps({"subject": who, "data": {}}).encode(), Tally()))["subject"]
    world.passes(1)
    for who in ("ann", "bob"):
        world.event({"rms": 2.0}, who)
    world.passes(1)
    world.consent("bob", "training", withdrawn=True)
    world.passes(1)
    world.ship(leaving)
    asked = [(world.clocks.wall, (hashed[who],)) for who in ("ann", "bob")]
    _, table = world.build(
        "--rows", world.rows_file(asked), consent=("--consent", "operators", "--consent", "training")
    )
    assert table["press"].to_pylist() == [hashed["ann"]]
    assert table["sum"].to_pylist() == [2.0]
    assert len(vectors(table, ("sum",))) == 1
