"""The transform from JSON Schema to structural schemas: what becomes of each keyword, and what is refused."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from skerry_api.structural import SchemaError, transform
from skerry_api.v1alpha1.cel import VALIDATIONS, Rule, rules
from skerry_api.v1alpha1.condition import KEEP_DEFAULT

TEXT = {"type": "string", "maxLength": 9}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string", "maxLength": 9, "title": "T"}, TEXT),
        (
            {"type": "string", "maxLength": 9, "pattern": "^a$", "minLength": 1},
            TEXT | {"pattern": "^a$", "minLength": 1},
        ),
        ({"anyOf": [TEXT, {"type": "null"}], "default": None, "description": "d"}, TEXT | {"description": "d"}),
        ({"const": "a", "type": "string"}, {"type": "string", "enum": ["a"]}),
        ({"enum": ["a", "b"], "type": "string"}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "integer", "minimum": 1}, {"type": "integer", "format": "int64", "minimum": 1}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 0, "exclusiveMinimum": True}),
        ({"type": "number", "exclusiveMaximum": 1}, {"type": "number", "maximum": 1, "exclusiveMaximum": True}),
        (
            {"type": "array", "items": TEXT, "maxItems": 3, "uniqueItems": True},
            {"type": "array", "items": TEXT, "maxItems": 3, "x-kubernetes-list-type": "set"},
        ),
        (
            {"type": "array", "items": TEXT, "maxItems": 3, "uniqueItems": False},
            {"type": "array", "items": TEXT, "maxItems": 3},
        ),
        (
            {"type": "object", "additionalProperties": TEXT, "maxProperties": 2, "propertyNames": {"maxLength": 5}},
            {
                "type": "object",
                "additionalProperties": TEXT,
                "maxProperties": 2,
                VALIDATIONS: [
                    {
                        "rule": "self.all(key, key.size() <= 5)",
                        "message": "keys can't be longer than 5 characters",
                    }
                ],
            },
        ),
        ({"type": "object", "properties": {}, "additionalProperties": False}, {"type": "object", "properties": {}}),
        ({"type": "boolean", "default": True}, {"type": "boolean"}),
        (
            {"type": "integer", "default": -1, KEEP_DEFAULT: True},
            {"type": "integer", "format": "int64", "default": -1},
        ),
    ],
)
def test_each_keyword_becomes(given: dict[str, Any], expected: dict[str, Any]):
    assert transform(given) == expected


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"type": "string"}, "needs maxLength"),
        ({"type": "array", "items": TEXT}, "needs maxItems"),
        ({"type": "object", "additionalProperties": TEXT}, "needs maxProperties"),
        ({"type": "object", "additionalProperties": True}, "a map needs a type of its values"),
        ({}, "has no type"),
        ({"anyOf": [TEXT, {"type": "integer"}]}, "a union"),
        ({"type": "array", "prefixItems": [TEXT], "maxItems": 1}, "prefixItems has no counterpart"),
        ({"oneOf": [TEXT]}, "oneOf has no counterpart"),
        ({"allOf": [TEXT]}, "allOf has no counterpart"),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, "has no counterpart"),
        ({"$ref": "#/$defs/Absent"}, "Absent is not defined"),
        (
            {"type": "object", "additionalProperties": TEXT, "maxProperties": 2, "propertyNames": {"pattern": "^a"}},
            "only maxLength can be kept",
        ),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}}, r"^\.a: lacks a description"),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}, "maxItems": 1}}},
            r"^\.a\[\]: needs maxLength",
        ),
    ],
)
def test_what_would_be_lost_is_refused(given: dict[str, Any], problem: str):
    with pytest.raises(SchemaError, match=problem):
        transform(given)


class Leaf(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra=rules(Rule("self.n > 0", "inner")))

    n: int
    """A number."""


class Tree(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    required: Leaf
    """Always there."""
    optional: Leaf | None = None
    """May be absent."""
    required_or_null: Annotated[int | None, Field()]
    """Pydantic requires it, though it may be null."""
    guarded: Annotated[Leaf, Field(json_schema_extra=rules(Rule("self == oldSelf", "outer")))]
    """Rules of its own beside its class's."""
    kind: Literal["tree"] = "tree"
    """One word."""


def test_definitions_are_written_out_with_the_fields_own_words():
    leaf = {
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"description": "A number.", "type": "integer", "format": "int64"}},
        VALIDATIONS: [{"rule": "self.n > 0", "message": "inner"}],
    }

    schema = transform(Tree.model_json_schema())

    assert schema["required"] == ["required", "guarded"]
    assert schema["properties"]["required"] == leaf | {"description": "Always there."}
    assert schema["properties"]["optional"] == leaf | {"description": "May be absent."}
    assert schema["properties"]["required_or_null"] == {
        "description": "Pydantic requires it, though it may be null.",
        "type": "integer",
        "format": "int64",
    }
    assert [rule["message"] for rule in schema["properties"]["guarded"][VALIDATIONS]] == ["inner", "outer"]
    assert schema["properties"]["kind"]["enum"] == ["tree"]


def test_the_given_schema_stays_as_it_is():
    document = Tree.model_json_schema()

    transform(document)

    assert document == Tree.model_json_schema()


class Node(BaseModel):
    child: "Node | None" = None


def test_a_schema_that_contains_itself_is_refused():
    with pytest.raises(SchemaError, match="Node contains itself"):
        transform(Node.model_json_schema())
