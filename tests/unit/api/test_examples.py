"""The examples are valid, and say nothing that the kinds don't know."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from skerry_api.definition import object_schema
from skerry_api.kinds import KINDS
from skerry_api.v1alpha1.fields import API_VERSION

EXAMPLES = Path(__file__).parents[3] / "examples"
KIND = {kind.name: kind for kind in KINDS}
OBJECTS = [
    pytest.param(one, id=f"{path.name}-{one['metadata']['name']}")
    for path in sorted(EXAMPLES.glob("*.yaml"))
    for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    if one["apiVersion"] == API_VERSION
]


def _unknown(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of fields that the API server would drop."""
    if isinstance(value, list):
        for item in value:
            yield from _unknown(item, schema["items"], f"{path}[]")
    elif isinstance(value, dict) and "properties" in schema and path != ".metadata":
        for name, item in value.items():
            if name in schema["properties"]:
                yield from _unknown(item, schema["properties"][name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"


@pytest.mark.parametrize("one", OBJECTS)
def test_an_example_is_valid(one: dict[str, Any]):
    kind = KIND[one["kind"]]

    parsed = kind.model.model_validate(one)

    assert kind.model.model_validate(parsed.to_wire()) == parsed
    assert list(_unknown(one, object_schema(kind))) == []


def test_every_kind_that_people_write_has_an_example():
    shown = {param.values[0]["kind"] for param in OBJECTS}

    assert shown == {"Model", "ModelRelease", "RolloutRing", "FeatureSet", "SyncPolicy", "SiteClass", "EdgeSite"}
