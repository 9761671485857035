"""CEL rules: each is shown to refuse something on a real API server, and says the defaults that are in force."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from skerry_api.definition import object_schema
from skerry_api.kinds import KINDS
from skerry_api.v1alpha1.cel import VALIDATIONS
from skerry_api.v1alpha1.model import Analysis, Guardrails, ModelSpec, Rollback
from skerry_api.v1alpha1.rolloutring import RolloutRingSpec, RolloutStrategy
from skerry_operator.hub.rollout.defaults import effective_model, effective_ring

CASES = Path(__file__).parents[2] / "integration" / "crds"
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


def _by_kind() -> dict[str, list[dict[str, str]]]:
    return {kind.name: list(_rules(object_schema(kind))) for kind in KINDS}


def test_each_rule_has_a_case_that_violates_it():
    cases = yaml.safe_load((CASES / "refusals.yaml").read_text())
    shown = {case["message"] for case in cases}

    assert {rule["message"] for rules in _by_kind().values() for rule in rules} <= shown


def test_each_kind_has_a_valid_example():
    objects = yaml.safe_load_all((CASES / "valid.yaml").read_text())

    assert [one["kind"] for one in objects] == [kind.name for kind in KINDS]


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
