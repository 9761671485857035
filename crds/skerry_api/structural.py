"""JSON Schema as pydantic writes it -> the structural schema that a CustomResourceDefinition takes.

Pure, and strict: a keyword that isn't known here, a field without a description, or a string, list or map without an
upper bound is an error, so that nothing is lost on the way and the API server can estimate what each CEL rule costs.
Kubernetes' rules for such schemas: "Specifying a structural schema" in its page on CustomResourceDefinitions.
"""

from collections.abc import Callable, Mapping
from typing import Any

from skerry_api.v1alpha1.cel import VALIDATIONS, Rule
from skerry_api.v1alpha1.condition import KEEP_DEFAULT

Schema = dict[str, Any]

# In the order in which they are written.
_KEYWORDS = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "items",
    "additionalProperties",
    "required",
    "properties",
    VALIDATIONS,
)
# Defaults go too, unless KEEP_DEFAULT marks them: when Kubernetes writes some into a spec, GitOps tools see drift.
_DROPPED = frozenset({"title", "default", "required", "$defs", KEEP_DEFAULT})
_NULL = {"type": "null"}


class SchemaError(ValueError):
    """A schema that no structural schema says the same as; the message begins with the field's path."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or 'the schema'}: {problem}")


def transform(schema: Mapping[str, Any]) -> Schema:
    """Turn a JSON Schema document, definitions included, into a structural schema. Raises SchemaError."""
    return _Transform(schema.get("$defs", {})).apply(schema, "", ())


class _Transform:
    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self._nested = {
            "items": self._items,
            "additionalProperties": self._additional_properties,
            "properties": self._properties,
        }

    def apply(self, schema: Mapping[str, Any], path: str, seen: tuple[str, ...]) -> Schema:
        """Transform one schema; `seen` names the definitions that it is within."""
        flat, seen = self._flatten(schema, path, seen)
        result: Schema = {}
        for keyword, value in flat.items():
            if nested := self._nested.get(keyword):
                result |= nested(value, path, seen)
            elif rewrite := _REWRITTEN.get(keyword):
                result |= _with_rules_of(result, rewrite(value, path))
            elif keyword in _KEYWORDS and keyword not in _DROPPED:
                result |= _with_rules_of(result, {keyword: value})
            elif keyword not in _DROPPED:
                raise SchemaError(path, f"{keyword} has no counterpart in a structural schema")
        # Only now: which fields are required is said apart from the fields.
        if required := [name for name in flat.get("required", ()) if _NULL not in _options(flat, name)]:
            result["required"] = required
        if flat.get(KEEP_DEFAULT):
            result["default"] = flat["default"]
        _check_bounded(result, path)
        if result["type"] == "integer":
            result["format"] = "int64"
        return {keyword: result[keyword] for keyword in _KEYWORDS if keyword in result}

    def _flatten(self, schema: Mapping[str, Any], path: str, seen: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """Follow `$ref` and `X | null` to a schema without either; keywords beside them win over those within."""
        flat = dict(schema)
        while "$ref" in flat or "anyOf" in flat:
            if "$ref" in flat:
                name = flat.pop("$ref").removeprefix("#/$defs/")
                if name in seen:
                    raise SchemaError(path, f"{name} contains itself; a structural schema can't recur")
                if name not in self._definitions:
                    raise SchemaError(path, f"{name} is not defined")
                seen, inner = (*seen, name), self._definitions[name]
            else:
                options = [option for option in flat.pop("anyOf") if option != _NULL]
                if len(options) != 1:
                    raise SchemaError(path, "a union; use one optional field per variant and a CEL rule")
                inner = options[0]
            flat = {**inner, **_with_rules_of(inner, flat)}
        return flat, seen

    def _items(self, value: Schema, path: str, seen: tuple[str, ...]) -> Schema:
        return {"items": self.apply(value, f"{path}[]", seen)}

    def _additional_properties(
        self,
        value: Schema | bool,  # noqa: FBT001 - as JSON Schema has it
        path: str,
        seen: tuple[str, ...],
    ) -> Schema:
        if isinstance(value, bool):
            if value:
                raise SchemaError(path, "a map needs a type of its values")
            return {}  # the API server drops unknown fields, and reports them to whoever asks
        return {"additionalProperties": self.apply(value, f"{path}{{}}", seen)}

    def _properties(self, value: Mapping[str, Schema], path: str, seen: tuple[str, ...]) -> Schema:
        properties = {name: self.apply(field, f"{path}.{name}", seen) for name, field in value.items()}
        for name, field in properties.items():
            if not field.get("description"):
                raise SchemaError(f"{path}.{name}", "lacks a description; write one below the field")
        return {"properties": properties}


def _property_names(value: Schema, path: str) -> Schema:
    """Keys have no schema of their own in Kubernetes, so their length becomes a CEL rule."""
    if set(value) - {"type", "title"} != {"maxLength"}:
        raise SchemaError(path, "of a map's keys, only maxLength can be kept")
    longest = value["maxLength"]
    rule = Rule(f"self.all(key, key.size() <= {longest})", f"keys can't be longer than {longest} characters")
    return {VALIDATIONS: [rule.to_schema()]}


_REWRITTEN: Mapping[str, Callable[[Any, str], Schema]] = {
    "const": lambda value, _path: {"enum": [value]},
    "exclusiveMinimum": lambda value, _path: {"minimum": value, "exclusiveMinimum": True},
    "exclusiveMaximum": lambda value, _path: {"maximum": value, "exclusiveMaximum": True},
    "uniqueItems": lambda value, _path: {"x-kubernetes-list-type": "set"} if value else {},
    "propertyNames": _property_names,
}


def _options(schema: Schema, name: str) -> list[Schema]:
    options: list[Schema] = schema["properties"][name].get("anyOf", [])
    return options


def _with_rules_of(earlier: Mapping[str, Any], later: Schema) -> Schema:
    """Give `later` the CEL rules of both: rules add up, where other keywords replace each other."""
    both = [*earlier.get(VALIDATIONS, ()), *later.get(VALIDATIONS, ())]
    return {**later, VALIDATIONS: both} if both else later


def _check_bounded(schema: Schema, path: str) -> None:
    kind = schema.get("type")
    if kind is None:
        raise SchemaError(path, "has no type")
    bound = {"string": "maxLength", "array": "maxItems"}.get(kind)
    if "additionalProperties" in schema:
        bound = "maxProperties"
    # An enumeration and a timestamp are bounded by what they are.
    if bound and bound not in schema and "enum" not in schema and schema.get("format") != "date-time":
        raise SchemaError(path, f"needs {bound}, or the API server can't bound what CEL rules over it cost")
