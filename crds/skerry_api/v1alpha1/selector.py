"""Label selectors, matched the way Kubernetes matches them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.fields import ApiModel

LabelKey = Annotated[str, StringConstraints(max_length=317)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]


class SelectorOperator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class SelectorRequirement(ApiModel):
    """One row of `matchExpressions`; `values` is empty for Exists and DoesNotExist."""

    key: LabelKey
    operator: SelectorOperator
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()

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
    match_expressions: Annotated[tuple[SelectorRequirement, ...], Field(max_length=32)] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether every label and every expression holds."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            row.matches(labels) for row in self.match_expressions
        )
