"""CEL rules that the API server checks, written beside the fields that they guard."""

from dataclasses import dataclass

from pydantic.config import JsonDict

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True)
class Rule:
    """A CEL expression over `self` (and `oldSelf`, then checked on updates only), and what a user reads if it fails."""

    expression: str
    message: str

    def to_schema(self) -> JsonDict:
        """The rule as a CustomResourceDefinition's schema spells it."""
        return {"message": self.message, "rule": self.expression}


def rules(*given: Rule) -> JsonDict:
    """Schema keywords for `json_schema_extra`, of a field or of a whole class."""
    return {VALIDATIONS: [rule.to_schema() for rule in given]}


def immutable(message: str) -> JsonDict:
    """Schema keywords of a required field that keeps its first value; `message` says what to do instead."""
    return rules(Rule("self == oldSelf", message))
