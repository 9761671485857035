"""CEL rules: each is shown to refuse something on a real API server, and says the defaults that are in force."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from skerry_api.definition import object_schema
from skerry_api.kinds import KINDS
from skerry_api.v1alpha1.cel import VALIDATIONS
from skerry_api.v1alpha1.model import Analysis, Guardrails, ModelSpec, Rollback
from skerry_api.v1alpha1.rolloutring import RolloutRingSpec, RolloutStrategy
from skerry_operator.cli.crd_rules import broken_rules
from skerry_operator.hub.rollout.defaults import effective_model, effective_ring
from tests.integration.crds.cases import REFUSALS, VALID, patched

KIND = {kind.name: kind for kind in KINDS}
OFFLINE = [name for name in KIND if name != "SiteClass"]  # has quantities that are no bytes
_DEFAULT_IN_RULE = re.compile(r"has\(self\.(\w+)\) \? self\.\1 : '?([^')]+)'?\)")
_DEFAULT_IN_MESSAGE = re.compile(r"(\w+) \((\S+) unless set\)")
_DEFAULT_IN_DESCRIPTION = re.compile(r" Default: (\S+)\.$")

DEFAULTS: dict[str, Any] = {
    **effective_model("m", ModelSpec()).to_wire()["analysis"],  # type: ignore[dict-item]
    **effective_model("m", ModelSpec()).to_wire()["analysis"]["guardrails"],  # type: ignore[index]
    **effective_model("m", ModelSpec()).to_wire()["rollback"],  # type: ignore[dict-item]
    **effective_ring(RolloutRingSpec(order=0)).to_wire(),
    **effective_ring(RolloutRingSpec(order=0)).to_wire()["rolloutStrategy"],  # type: ignore[dict-item]
}


def _rules(schema: Any) -> Iterator[dict[str, str]]:
    if isinstance(schema, dict):
        yield from schema.get(VALIDATIONS, ())
        for part in schema.values():
            yield from _rules(part)


def _offline() -> list[dict[str, Any]]:
    """Cases of rules, not of types and bounds, that need no earlier object."""
    said = {rule["message"] for rules in _by_kind().values() for rule in rules if "oldSelf" not in rule["rule"]}
    return [case for case in REFUSALS if "create" in case and case["message"] in said and case["kind"] in OFFLINE]


def _by_kind() -> dict[str, list[dict[str, str]]]:
    return {kind.name: list(_rules(object_schema(kind))) for kind in KINDS}


def test_each_rule_has_a_case_that_violates_it():
    shown = {(case["kind"], case["message"]) for case in REFUSALS}

    assert {(kind, rule["message"]) for kind, rules in _by_kind().items() for rule in rules} - shown == set()


def test_each_kind_has_a_valid_example():
    assert list(VALID) == [kind.name for kind in KINDS]


@pytest.mark.slow
@pytest.mark.parametrize("case", _offline(), ids=str)
def test_what_rules_refuse_they_refuse_without_an_api_server(case: dict[str, Any]):
    one = patched(VALID[case["kind"]], case["create"])

    assert case["message"] in {said.partition(": ")[2] for said in broken_rules(one, object_schema(KIND[case["kind"]]))}


@pytest.mark.parametrize("kind", OFFLINE)
def test_what_rules_let_in_they_let_in_without_an_api_server(kind: str):
    assert list(broken_rules(VALID[kind], object_schema(KIND[kind]))) == []


def test_rules_repeat_the_defaults_that_the_hub_resolves():
    found = {
        match for rules in _by_kind().values() for rule in rules for match in _DEFAULT_IN_RULE.findall(rule["rule"])
    }

    assert {name for name, _ in found} == {
        "failureLimit",
        "windows",
        "maxDisagreementExcess",
        "maxDisagreement",
        "minSuccessTime",
        "progressDeadline",
    }
    assert {(name, str(DEFAULTS[name])) for name, _ in found} == found


def test_messages_say_the_defaults_that_the_rules_have():
    for rules in _by_kind().values():
        for rule in rules:
            assert set(_DEFAULT_IN_MESSAGE.findall(rule["message"])) == set(_DEFAULT_IN_RULE.findall(rule["rule"]))


def test_descriptions_say_the_defaults_that_the_hub_resolves():
    said = {
        field.alias: match[1]
        for model in (Analysis, Guardrails, Rollback, RolloutStrategy, RolloutRingSpec)
        for field in model.model_fields.values()
        if (match := _DEFAULT_IN_DESCRIPTION.search(field.description or ""))
    }

    plain = {name: value for name, value in DEFAULTS.items() if not isinstance(value, dict)}
    assert {
        name: float(said[name]) if isinstance(value, int | float) else said[name] for name, value in plain.items()
    } == plain
