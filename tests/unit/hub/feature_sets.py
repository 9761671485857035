"""FeatureSets as people write them, and what of them a test changes."""

from typing import Any

from skerry_api.v1alpha1.featureset import FeatureSetSpec
from skerry_core.features.definition import FeatureSetDocument
from skerry_operator.hub.feature_set.check import publishable

FIELDS = (
    {"name": "rms", "type": "Float64"},
    {"name": "state", "type": "String", "required": False},
    {"name": "spectrum", "type": "Vector", "length": 8, "required": False},
)


def feature(name: str = "mean", aggregation: str = "Mean", value: str | None = "rms", **more: Any) -> dict[str, Any]:
    """One feature of ten minutes."""
    return {"name": name, "aggregation": aggregation, "value": value, "window": {"size": "10m"}, **more}


def spec(*features: dict[str, Any], version: str = "1.0.0", fields: Any = FIELDS, **more: Any) -> dict[str, Any]:
    """The spec of a set over the stream `vibration`, by press."""
    return {
        "version": version,
        "entities": [{"name": "press", "path": "subject"}],
        "source": {"stream": "vibration", "schema": list(fields)},
        "features": list(features or (feature(),)),
        **more,
    }


def resolved(wire: dict[str, Any], namespace: str = "f", name: str = "presses") -> FeatureSetDocument:
    """What is published of a spec."""
    return publishable(namespace, name, FeatureSetSpec.model_validate(wire)).document
