"""The CEL rules of a kind, evaluated without an API server; those about changes (`oldSelf`) are left to it.

Of quantities, bytes are understood, so not those of processors in a SiteClass.
"""

from collections.abc import Iterator
from typing import Any

import cel

from skerry_api.structural import Schema
from skerry_api.v1alpha1.cel import VALIDATIONS
from skerry_api.v1alpha1.quantity import parse_bytes


def broken_rules(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """What a user would read of each rule that `value` breaks, after the path; the value must be of the schema's types.

    Fields that the schema doesn't know, and nulls, are as good as absent, as they are to the API server.
    """
    yield from _broken(_typed(value, schema), schema, path)


def _broken(value: Any, schema: Schema, path: str) -> Iterator[str]:
    for rule in schema.get(VALIDATIONS, ()):
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], value):
            yield f"{path or 'the object'}: {rule['message']}"
    if isinstance(value, dict):
        for name, item in value.items():
            if name in schema.get("properties", {}):
                yield from _broken(item, schema["properties"][name], f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _broken(item, schema["items"], f"{path}[{index}]")


def _typed(value: Any, schema: Schema) -> Any:
    """Numbers as CEL has them on the API server, where `1` in a field of type number is a double."""
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        return {name: _typed(item, known[name]) for name, item in value.items() if name in known and item is not None}
    if isinstance(value, list):
        return [_typed(item, schema["items"]) for item in value]
    if schema.get("type") == "number" and isinstance(value, int):
        return float(value)
    return value


def _holds(rule: str, value: Any) -> bool:
    context = cel.Context()
    context.add_variable("self", value)
    # Kubernetes' own, of which bounds of sizes are made: https://kubernetes.io/docs/reference/using-api/cel/
    context.add_function("quantity", parse_bytes)
    context.add_function("compareTo", lambda one, other: (one > other) - (one < other))
    return bool(cel.evaluate(rule, context))
