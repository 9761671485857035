"""Label selectors, matched the way Kubernetes matches them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from skerry_api.v1alpha1.cel import Rule, rules
from skerry_api.v1alpha1.fields import ApiModel

LabelKey = Annotated[str, StringConstraints(max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]

_VALUES = Rule(
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
    "operators In and NotIn need values; Exists and DoesNotExist take none",
)


class SelectorOperator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class SelectorRequirement(ApiModel):
    """One row of `matchExpressions`; `values` is empty for Exists and DoesNotExist."""

    model_config = ConfigDict(json_schema_extra=rules(_VALUES))

    key: LabelKey
    """The label's key, such as `tier` or `example.com/region`."""
    operator: SelectorOperator
    """In, NotIn, Exists or DoesNotExist; NotIn and DoesNotExist also match objects without the label."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()
    """The label's values that In and NotIn compare with."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels satisfy this row; NotIn holds for an absent key, as in Kubernetes."""
        match self.operator:
            case SelectorOperator.EXISTS:
                return self.key in labels
            case SelectorOperator.DOES_NOT_EXIST:
                return self.key not in labels
            case SelectorOperator.IN:
                return labels.get(self.key) in self.values
            case SelectorOperator.NOT_IN:
                return labels.get(self.key) not in self.values


class LabelSelector(ApiModel):
    """An empty selector matches every object."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = {}
    """Labels that an object must have, all of them, with exactly these values."""
    match_expressions: Annotated[tuple[SelectorRequirement, ...], Field(max_length=32)] = ()
    """Rows that must all hold as well."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether every label and every expression holds."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            row.matches(labels) for row in self.match_expressions
        )
