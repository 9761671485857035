"""What the API server can't check of a FeatureSet: expressions, units, and what refers to what. Pure.

Nodes meet none of it: a version that fails here is Stalled, and published by nobody.
"""

from dataclasses import dataclass

from pydantic import ValidationError

from skerry_api.v1alpha1.featureset import FeatureSetContent, FeatureSetEffective
from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import MAX_DOCUMENT_BYTES, FeatureSetDocument, OnStale
from skerry_core.features.plan import Plan, compile_set
from skerry_operator.hub.feature_set.resolve import document_of, effective_set


@dataclass(frozen=True)
class Publishable:
    """A version as releases name it: `data` are the document's canonical bytes, `digest` is theirs."""

    effective: FeatureSetEffective
    document: FeatureSetDocument
    plan: Plan
    data: bytes

    @property
    def digest(self) -> str:
        """The digest that names the version."""
        return digests.of_bytes(self.data)


def publishable(namespace: str, name: str, spec: FeatureSetContent) -> Publishable:
    """Resolve and check a version; UserMustActError says what in the spec has to be changed first."""
    effective = effective_set(spec)
    for feature in effective.features:
        if feature.on_stale is OnStale.DEFAULT and feature.default is None:
            raise UserMustActError("FeatureSetInvalid", f"feature {feature.name}: onStale Default needs a default")
    try:
        document = document_of(namespace, name, effective)
    except ValidationError as error:
        raise UserMustActError("FeatureSetInvalid", _told(error)) from error
    data = canonical_json(document)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise UserMustActError(
            "FeatureSetTooLarge",
            f"resolved, the set has {len(data)} bytes, allowed are {MAX_DOCUMENT_BYTES}: make two sets of it",
        )
    # As nodes will read it, so that what compiles here compiles there.
    written = FeatureSetDocument.model_validate_json(data)
    if written != document:
        raise UserMustActError("FeatureSetInvalid", "durations are written in whole milliseconds: round them")
    return Publishable(effective, written, compile_set(written), data)


def _told(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
