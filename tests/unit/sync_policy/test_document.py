"""What a policy on a node must hold, so that nobody who reads it has to look twice."""

import pytest
from pydantic import ValidationError

from skerry_api.v1alpha1.syncpolicy import BUILT_IN, Tier
from skerry_core.canonical import canonical_json
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import SyncPolicyDocument
from tests.unit.sync_policy.policies import with_stream


def changed(**changes) -> dict:
    return {**DEFAULT_POLICY.to_wire(), **changes}


STREAM = with_stream("vibration").streams[-1].to_wire()
OPERATORS = {"name": "operators", "consent": "Required"}


def of_class(*rules: dict) -> dict:
    return changed(dataClasses=[{**OPERATORS, "rules": list(rules)}])


@pytest.mark.parametrize("document", [DEFAULT_POLICY, with_stream("vibration")])
def test_a_policy_survives_being_published_and_read(document):
    assert SyncPolicyDocument.model_validate_json(canonical_json(document)) == document


def test_a_policy_without_payloads_is_published_as_before_there_were_any():
    assert b"payloads" not in canonical_json(DEFAULT_POLICY)
    (predictions, *others) = DEFAULT_POLICY.to_wire()["streams"]
    with_some = SyncPolicyDocument.model_validate(changed(streams=[{**predictions, "payloads": 0.01}, *others]))
    assert with_some.stream("predictions").payloads == 0.01
    assert canonical_json(with_some).count(b'"payloads":0.01') == 1
    assert DEFAULT_POLICY.stream("predictions").payloads is None


def test_the_default_policy_has_the_built_in_streams_and_no_limit():
    assert tuple(stream.name for stream in DEFAULT_POLICY.streams) == BUILT_IN
    assert DEFAULT_POLICY.tier(Tier.BULK).tier is Tier.BULK
    budgets = (*DEFAULT_POLICY.tiers, DEFAULT_POLICY.downloads)
    assert all(
        (budget.bytes_per_second, budget.bytes_per_hour, budget.bytes_per_day, budget.windows) == (None, None, None, ())
        for budget in budgets
    )


def test_parts_are_found_by_name():
    document = SyncPolicyDocument.model_validate(changed(dataClasses=[OPERATORS]))
    assert document.data_class("operators").consent == "Required"
    assert document.data_class("others") is None
    assert document.stream("predictions").tier is Tier.MODEL_FEEDBACK
    assert document.stream("vibration") is None


def test_tiers_are_ranked_by_what_matters():
    assert [tier.rank for tier in Tier] == [0, 1, 2, 3, 4]
    assert Tier.CRITICAL_TELEMETRY.rank == 0


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (changed(streams=[STREAM, STREAM]), "a name is there twice"),
        (changed(dataClasses=[OPERATORS, OPERATORS]), "a name is there twice"),
        (changed(tiers=changed()["tiers"][1:]), "each tier must be there once"),
        (changed(tiers=changed()["tiers"][::-1]), "each tier must be there once"),
        (changed(streams=[{**STREAM, "dataClass": "operators"}]), "data class operators"),
        (changed(streams=[{**STREAM, "maxBytes": 0}]), "greater than or equal to 1"),
        (changed(streams=[{**STREAM, "payloads": 1.01}]), "less than or equal to 1"),
        (of_class({"path": "a", "action": "Coarsen"}), "coarsen belongs to"),
        (of_class({"path": "a", "action": "Drop", "coarsen": {"step": 1}}), "coarsen belongs to"),
        (of_class({"path": "a", "action": "Aggregate"}), "aggregate belongs to"),
        (of_class({"path": "a", "action": "Coarsen", "coarsen": {}}), "exactly one of"),
        (of_class({"path": "a", "action": "Coarsen", "coarsen": {"step": 1, "prefix": 2}}), "exactly one of"),
        (of_class({"path": "a", "action": "Encrypt"}), "Input should be"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(wire, words):
    with pytest.raises(ValidationError, match=words):
        SyncPolicyDocument.model_validate(wire)
