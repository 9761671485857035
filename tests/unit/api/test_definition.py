"""The generated CustomResourceDefinitions: described, bounded, told apart, and the same as the files in crds/."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from skerry_api.definition import definition, generated_files, object_schema, to_yaml
from skerry_api.kinds import KINDS, Column, ColumnType, Kind
from skerry_api.v1alpha1.fields import GROUP, VERSION
from skerry_operator.kube import resources

CRDS = Path(__file__).parents[3] / "crds"
BY_NAME = [pytest.param(kind, id=kind.name) for kind in KINDS]


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from _fields(field, f"{path}.{name}")
    if "items" in schema:
        yield from _fields(schema["items"], f"{path}[]")


@pytest.mark.parametrize("kind", BY_NAME)
def test_every_field_is_described_in_sentences(kind: Kind):
    schema = object_schema(kind)

    assert schema["description"]
    for path, field in _fields(schema):
        if path != ".metadata":  # Kubernetes' own
            assert re.search(r"[^.]\.$", field["description"]), f"{kind.name}{path}: {field.get('description')!r}"


@pytest.mark.parametrize("kind", BY_NAME)
def test_the_only_defaults_are_those_that_show_an_object_as_not_yet_seen(kind: Kind):
    defaults = {path: field["default"] for path, field in _fields(object_schema(kind)) if "default" in field}

    assert defaults == {".status": {}, ".status.observedGeneration": -1}


@pytest.mark.parametrize("kind", BY_NAME)
def test_conditions_are_a_map_by_type(kind: Kind):
    conditions = object_schema(kind)["properties"]["status"]["properties"]["conditions"]

    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert "type" in conditions["items"]["required"]


def _type_at(schema: dict[str, Any], column: Column) -> str:
    """Type of what a column's JSONPath points to: fields by name, and one condition by its type."""
    if column.path.startswith(".metadata."):
        return "date"
    for step in re.findall(r"\.(\w+)(?:\[\?\(@\.type==\"\w+\"\)\])?", column.path):
        schema = schema["properties"][step]
        schema = schema.get("items", schema)
    return "date" if schema.get("format") == "date-time" else str(schema["type"])


@pytest.mark.parametrize("kind", BY_NAME)
def test_columns_show_fields_that_are_there_in_their_type(kind: Kind):
    schema = object_schema(kind)

    assert {column.name: _type_at(schema, column) for column in kind.columns} == {
        column.name: column.type for column in kind.columns
    }
    assert any(column.type is ColumnType.DATE for column in kind.columns)


def test_names_are_told_apart():
    names = [name for kind in KINDS for name in (kind.plural, kind.name.lower(), *kind.short_names)]
    kubernetes = {
        "sa",
        "cm",
        "po",
        "no",
        "ns",
        "svc",
        "ds",
        "rs",
        "crd",
        "cs",
        "pc",
        "sc",
        "csr",
        "ev",
        "ep",
        "pv",
        "pvc",
    }

    assert len(set(names)) == len(names)
    assert not kubernetes & set(names)


def test_the_operators_ask_for_the_same_kinds():
    asked = {
        (value.kind, value.plural, value.namespaced)
        for value in vars(resources).values()
        if isinstance(value, resources.Resource) and (value.group, value.version) == (GROUP, VERSION)
    }

    assert asked == {(kind.name, kind.plural, kind.scope == "Namespaced") for kind in KINDS}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BY_NAME)
def test_yaml_says_the_same_to_kubernetes_and_passes_through_helm(kind: Kind):
    text = to_yaml(kind)

    assert yaml.safe_load(text) == definition(kind)
    # YAML 1.1's short booleans, which PyYAML itself doesn't know, and which Kubernetes' parser does.
    assert not re.search(r"^\s*(- )?[yYnN](:|$)|: [yYnN]$", text, re.MULTILINE)
    assert "{{" not in text
    assert not re.search(r"[&*]id\d", text)


def test_the_files_are_what_is_generated():
    found = {path.name: path.read_text(encoding="utf-8") for path in CRDS.glob("*.yaml")}

    assert found == generated_files(), "run `skerry crds --output crds`"
