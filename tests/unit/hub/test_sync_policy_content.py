"""What a SyncPolicy comes to: its defaults, and what is wrong with one that the API server lets in."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.v1alpha1 import syncpolicy
from skerry_api.v1alpha1.syncpolicy import SyncPolicySpec
from skerry_core.errors import UserMustActError
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import MAX_DOCUMENT_BYTES, SyncPolicyDocument
from skerry_operator.hub.sync_policy.check import publishable
from skerry_operator.hub.sync_policy.expression import check_expression
from skerry_operator.hub.sync_policy.resolve import document_of, effective_policy

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "integration" / "crds"
EXAMPLES = [
    one["spec"]
    for path in (ROOT / "examples" / "syncpolicy.yaml", CASES / "valid.yaml")
    for one in yaml.safe_load_all(path.read_text())
    if one["kind"] == "SyncPolicy"
]


def bytes_of(spec: dict) -> bytes:
    return publishable(effective_policy(SyncPolicySpec.model_validate(spec)))


def window(schedule="0 22 * * *", zone="Europe/Oslo") -> dict:
    return {"schedule": schedule, "timeZone": zone, "duration": "8h"}


def bulk(**changes) -> dict:
    return {"tiers": [{"tier": "Bulk", "windows": [window(**changes)]}]}


def sample(**changes) -> dict:
    return {
        "streams": [{"name": "vibration", "tier": "Bulk"}],
        "samples": [
            {"name": "hot", "stream": "vibration", "until": "2030-01-01T00:00:00Z", "maxBytes": "10Mi"} | changes
        ],
    }


def test_a_sample_is_told_to_nodes_whole():
    document = SyncPolicyDocument.model_validate_json(bytes_of(sample(when="event.subject == 'press-7'")))
    [asked] = document.samples
    assert (asked.max_bytes, asked.until.year, asked.when) == (10 << 20, 2030, "event.subject == 'press-7'")


@pytest.mark.parametrize(
    ("changes", "reason"), [({"stream": "nowhere"}, "StreamUnknown"), ({"when": "event.x >"}, "ExpressionInvalid")]
)
def test_a_sample_of_nothing(changes, reason):
    with pytest.raises(UserMustActError) as raised:
        bytes_of(sample(**changes))
    assert raised.value.reason == reason


def alert(when: str) -> dict:
    return {"alerts": [{"name": "hot", "stream": "*", "when": when}]}


def test_a_policy_that_says_nothing_is_the_default_one():
    assert document_of(effective_policy(SyncPolicySpec())) == DEFAULT_POLICY


@pytest.mark.parametrize("spec", EXAMPLES, ids=["example", "as full as it gets"])
def test_what_is_published_is_what_nodes_read(spec):
    effective = effective_policy(SyncPolicySpec.model_validate(spec))
    assert SyncPolicyDocument.model_validate_json(publishable(effective)) == document_of(effective)
    # As the hub reads it back from the object's status.
    assert syncpolicy.SyncPolicyEffective.model_validate(effective.to_wire()) == effective


def test_what_is_said_is_kept_and_the_rest_filled_in():
    spec = SyncPolicySpec.model_validate(
        {
            "streams": [
                {"name": "vibration", "tier": "Bulk", "maxBytes": "1.5Gi", "sampling": 0, "dataClass": "operators"},
                {"name": "rollbacks", "maxAge": "1h"},
            ],
            "tiers": [
                {"tier": "Bulk", "bytesPerHour": "64Ki", "windows": [{"schedule": "0 0 * * 0", "duration": "1h"}]}
            ],
            "dataClasses": [
                {
                    "name": "operators",
                    "consent": "Required",
                    "rules": [{"path": "pulse", "action": "Aggregate", "aggregate": {"window": "1h"}}],
                }
            ],
            "alerts": [{"name": "hot", "stream": "*", "when": "event.data.celsius > 90.0"}],
        }
    )
    document = document_of(effective_policy(spec))
    stream = document.stream("vibration").to_wire()
    assert (stream["maxBytes"], stream["sampling"], stream["maxAge"], stream["tier"]) == (3 << 29, 0, "720h", "Bulk")
    own, default = document.stream("rollbacks").to_wire(), DEFAULT_POLICY.stream("rollbacks").to_wire()
    assert own == {**default, "maxAge": "1h"}
    tier = document.tiers[4].to_wire()
    assert (tier["bytesPerHour"], tier["weight"], tier["onMetered"]) == (65_536, 1, "Hold")
    assert tier["windows"] == [{"schedule": "0 0 * * 0", "timeZone": "UTC", "duration": "1h"}]
    (rule,) = document.data_class("operators").to_wire()["rules"]
    assert rule["aggregate"] == {"window": "1h", "minCount": 5, "statistics": ["Count", "Mean"]}
    assert document.alerts[0].message == "hot"
    assert document.tiers[:4] == DEFAULT_POLICY.tiers[:4]


@pytest.mark.parametrize("share", [None, 0, 0.01, 1])
def test_payloads_are_told_to_nodes_as_they_are_said(share):
    told = {} if share is None else {"payloads": share}
    document = SyncPolicyDocument.model_validate_json(bytes_of({"streams": [{"name": "predictions", **told}]}))
    assert document.stream("predictions").payloads == share


@given(st.permutations(["vibration", "rollbacks", "predictions", "machine-state"]))
def test_skerrys_own_streams_come_first_and_the_others_in_the_order_given(names):
    given_streams = [{"name": name, "tier": "Bulk"} for name in names]
    streams = effective_policy(SyncPolicySpec.model_validate({"streams": given_streams})).streams
    others = [name for name in names if name not in syncpolicy.BUILT_IN]
    assert [stream.name for stream in streams] == [*syncpolicy.BUILT_IN, *others]


def test_descriptions_say_the_defaults():
    said = {
        field.alias: match[1]
        for model in (syncpolicy.StreamSettings, syncpolicy.Window, syncpolicy.Downloads, syncpolicy.Aggregate)
        for field in model.model_fields.values()
        if (match := re.search(r" Default: (\S+?)[.,]", field.description or ""))
    }
    spec = {
        "streams": [{"name": "s", "tier": "Bulk"}],
        "downloads": {"windows": [{"schedule": "0 0 * * 0", "duration": "1h"}]},
        "dataClasses": [
            {
                "name": "c",
                "consent": "NotNeeded",
                "rules": [{"path": "p", "action": "Aggregate", "aggregate": {"window": "1h"}}],
            }
        ],
    }
    wire = effective_policy(SyncPolicySpec.model_validate(spec)).to_wire()
    held = {
        **wire["streams"][-1],
        **wire["downloads"],
        **wire["downloads"]["windows"][0],
        **wire["dataClasses"][0]["rules"][0]["aggregate"],
    }
    assert said == {name: f"{held[name]:g}" if isinstance(held[name], float) else str(held[name]) for name in said}
    assert {
        "maxAge",
        "maxBytes",
        "dedupWindow",
        "sampling",
        "maxBody",
        "timeZone",
        "minCount",
        "onMetered",
    } == said.keys()


@pytest.mark.parametrize("zone", ["Europe/Oslo", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "UTC"])
def test_time_zones_of_the_iana_database_are_taken(zone):
    assert bytes_of(bulk(zone=zone))


@pytest.mark.parametrize("zone", ["Europe/Olso", "CET+1", "America", "localtime", "Factory"])
def test_other_time_zones_are_not(zone):
    with pytest.raises(UserMustActError, match=f"tier Bulk: '{re.escape(zone)}' is no time zone") as caught:
        bytes_of(bulk(zone=zone))
    assert caught.value.reason == "TimeZoneUnknown"


@pytest.mark.parametrize(
    "schedule", ["0 22 * * 1-5", "*/15 8-18 1,15 * *", "0 0 29 2 *", "0 9 * JAN-MAR MON#2", "0 0 L * *"]
)
def test_cron_schedules_are_taken(schedule):
    assert bytes_of(bulk(schedule=schedule))


@pytest.mark.parametrize(
    "schedule",
    ["61 * * * *", "10 22 * *", "0 0 22 * * *", "@every day", "0 0 31 2 *", "0 0 30 2 *", "a b c d e", "* * * * 9"],
)
def test_other_schedules_are_not(schedule):
    with pytest.raises(UserMustActError, match=r"is no schedule: .*give cron's minute, hour") as caught:
        bytes_of({"downloads": {"windows": [window(schedule=schedule)]}})
    assert caught.value.reason == "ScheduleInvalid"


@pytest.mark.parametrize(
    "when",
    [
        "event.data.celsius > 90.0",
        "has(event.data.celsius) && double(event.data.celsius) > 90.0",
        "stream == 'predictions' && event.outputs.exists(o, o.data.exists_one == 1)",
        "event.a.all(x, x > 1) && event.b.exists(y, y == 'all(')",
        "event.a.filter(x, x > 1).map(x, x * 2).exists(x, x == 4)",
        "timestamp(event.time).getHours('Europe/Oslo') < 6",
        "event.note.matches('a.map(x, b.map(y, 1))')",
        "event.a == r'\\' || event.a.exists(x, x == \"//\")  // .map(x, .map(y,",
        "size(event.data['rows']) > 3 ? true : event.data.late",
    ],
)
def test_expressions_that_nodes_can_evaluate_are_taken(when):
    assert bytes_of(alert(when))


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("event.data.celsius >", "Syntax error"),
        ("'open", "Syntax error"),
        ("(" * 500 + "event" + ")" * 500, "parse"),
        ("evnt.data.celsius > 90.0", "evnt is not known; use event, stream"),
        ("event.name.startswith('x')", "there is no function startswith"),
        ("math.abs(event.x) > 1", "math is not known"),
        ("1 < 2", "neither event nor stream"),
        ("[1, 2].exists(x, x > 1)", "neither event nor stream"),
        ("event.a.exists(x, event.b.exists(y, y == x))", "a loop within a loop"),
        ("event.a.filter(x, x.b.map(y, y)[0] > 1).size() > 0", "a loop within a loop"),
        ("event.a == '\\'.map(' && event.a.all(x, event.b. all (y, x == y))", "a loop within a loop"),
        ("event.a  // don't\n .exists(x, event.b.exists(y, y == x)) // don't", "a loop within a loop"),
    ],
)
def test_other_expressions_are_not(when, words):
    with pytest.raises(UserMustActError, match=re.escape(words)) as caught:
        bytes_of(alert(when))
    assert caught.value.reason == "ExpressionInvalid"
    assert str(caught.value).startswith("alert hot, when: ")


@given(st.text(st.sampled_from("event.()[]{}'\"/\\rx,:?=<&|!10 \n"), max_size=60))
def test_whatever_is_written_it_is_taken_or_refused(when):
    with suppress(UserMustActError):
        check_expression(when, "alert")


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        (
            {"streams": [{"name": "s", "tier": "Bulk", "dataClass": "operators"}]},
            "DataClassUnknown",
            "stream s is of data class 'operators'",
        ),
        (
            {
                "streams": [{"name": "consent", "dataClass": "operators"}],
                "dataClasses": [{"name": "operators", "consent": "Required"}],
            },
            "ConsentNeedsConsent",
            "nobody could withdraw it",
        ),
        (
            {
                "dataClasses": [
                    {
                        "name": f"c{number}",
                        "consent": "NotNeeded",
                        "rules": [{"path": f"{rule:0>250}", "action": "Drop"} for rule in range(64)],
                    }
                    for number in range(8)
                ]
            },
            "PolicyTooLarge",
            f"allowed are {MAX_DOCUMENT_BYTES}",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(spec, reason, words):
    with pytest.raises(UserMustActError, match=words) as caught:
        bytes_of(spec)
    assert caught.value.reason == reason


def test_a_consent_stream_may_hide_whose_consent_it_is():
    spec = {
        "streams": [{"name": "consent", "dataClass": "hidden"}],
        "dataClasses": [{"name": "hidden", "consent": "NotNeeded", "hashSubject": True}],
    }
    assert bytes_of(spec)
