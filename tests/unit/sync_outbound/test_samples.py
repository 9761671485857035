"""Records that the policy asks for: only what sampling alone keeps, until a time, up to so many bytes."""

from datetime import timedelta

import pytest

from skerry_api.v1alpha1.syncpolicy import Consent
from skerry_core.batch.contents import AbsentReason
from skerry_core.errors import RetryError
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import Rule, SamplePolicy
from skerry_edge.sync.outbound import samples as sampling
from tests.unit.sync_outbound.columns import NOW, columns, data_class, event, stream
from tests.unit.sync_outbound.test_outbound import Node

NONE = stream(sampling=0.0)
BODIES = [event({"celsius": celsius}, subject=f"press-{celsius}") for celsius in range(10)]
SIZE = len(BODIES[0])


def asked(**changes):
    fields = {"name": "hot", "stream": "readings", "until": NOW + timedelta(hours=1), "max_bytes": 1 << 20}
    return SamplePolicy(**fields | changes)


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.logs.close()


def adopt(node, *requests, policy=NONE, classes=()):
    node.outbound.adopt(
        DEFAULT_POLICY.model_copy(
            update={"samples": requests, "streams": (*DEFAULT_POLICY.streams, policy), "data_classes": classes}
        )
    )


def sent(node, policy=NONE, now=NOW, bodies=BODIES):
    outcome = node.outbound.rows(policy, [columns(*bodies)], now)
    assert {each.reason for each in outcome.absent} <= {AbsentReason.SAMPLED, AbsentReason.CONSENT}
    return [row.seq - 1 for row in outcome.rows]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (asked(), list(range(10))),
        (asked(when="event.data.celsius > 7"), [8, 9]),
        (asked(when="event.subject == 'press-3'"), [3]),
        (asked(when="event.data.none > 7"), []),
        (asked(stream="others"), []),
        (asked(until=NOW), []),
        (asked(max_bytes=3 * SIZE), [0, 1, 2]),
        (asked(when="event.data.celsius > 5", max_bytes=3 * SIZE - 1), [6, 7]),
    ],
)
def test_what_is_asked_for_leaves_though_it_is_not_in_the_sample(node, request_, expected):
    adopt(node)
    assert sent(node) == []
    adopt(node, request_)
    assert sent(node) == expected


def test_a_restart_a_new_policy_or_another_batch_gives_no_more(node):
    request = asked(max_bytes=12 * SIZE)
    adopt(node, request)
    assert len(sent(node)) == 10
    adopt(node, request, asked(name="other", stream="others"))
    again = Node(node.root)
    adopt(again, request)
    assert len(sent(again)) == 2
    assert sent(again) == []
    again.logs.close()
    sample = again.registry.get_sample_value("skerry_sync_samples_bytes_total", {"sample": "hot"})
    assert sample == 2 * SIZE
    adopt(again, asked(max_bytes=12 * SIZE, until=NOW + timedelta(hours=2)))
    assert len(sent(again)) == 10, "another end is another request"


def test_consent_and_privacy_hold_for_it(node):
    drop = data_class(Rule(path="celsius", action="Drop"), name="ruled")
    consent = data_class(name="asked", consent=Consent.REQUIRED)
    adopt(node, asked(), policy=stream(sampling=0.0, data_class="asked"), classes=(drop, consent))
    assert sent(node, stream(sampling=0.0, data_class="asked")) == []
    policy = stream(sampling=0.0, data_class="ruled")
    adopt(node, asked(), policy=policy, classes=(drop, consent))
    rows = node.outbound.rows(policy, [columns(*BODIES)], NOW).rows
    assert len(rows) == 10
    assert not any(b"celsius" in row.body for row in rows)


def test_what_can_not_be_counted_does_not_leave(node, monkeypatch):
    adopt(node, asked())

    def full(*_args, **_options):
        raise OSError(28, "no room")

    monkeypatch.setattr(sampling, "write_file", full)
    with pytest.raises(RetryError) as raised:
        sent(node)
    assert raised.value.reason == "SamplesNotCounted"
    assert sent(node, stream()) == list(range(10)), "what leaves anyway needs no count"


def test_a_note_that_can_not_be_read_gives_no_more(node):
    (node.root / "samples.json").write_bytes(b"[")
    again = Node(node.root)
    adopt(again, asked())
    assert sent(again) == []
    adopt(again, asked(name="new"))
    assert len(sent(again)) == 10
    again.logs.close()
