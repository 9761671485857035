"""Objects of one kind from files of YAML, as strictly as the API server takes them; others in a file are passed over.

Unknown fields, which the API server would drop, are refused: who writes one means something by it.
"""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from skerry_api.definition import object_schema
from skerry_api.kinds import KINDS
from skerry_api.v1alpha1.fields import API_VERSION, ApiModel
from skerry_core.errors import UserMustActError
from skerry_operator.cli.crd_rules import broken_rules
from skerry_operator.cli.unknown_fields import unknown_fields

Kind = TypeVar("Kind", bound=ApiModel)


def read_kind(path: Path, model: type[Kind]) -> tuple[Kind, ...]:
    """All objects of a kind in a file, at least one. UserMustActError `KINDInvalid` says what is wrong."""
    name, reason = model.__name__, f"{model.__name__}Invalid"
    try:
        objects = [one for one in yaml.safe_load_all(path.read_bytes()) if isinstance(one, dict)]
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserMustActError(reason, f"{path} is no YAML: {error}") from error
    found = tuple(_read(one, model, reason) for one in objects if one.get("kind") == name)
    if not found:
        raise UserMustActError(reason, f"{path} has no {name} in it")
    return found


def _read(one: dict[str, Any], model: type[Kind], reason: str) -> Kind:
    if one.get("apiVersion") != API_VERSION:
        raise UserMustActError(reason, f"apiVersion is {one.get('apiVersion')!r}, not {API_VERSION}")
    try:
        parsed = model.model_validate(one)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UserMustActError(reason, told) from error
    kind = next(kind for kind in KINDS if kind.model is model)
    if broken := list(broken_rules(one, object_schema(kind))):
        raise UserMustActError(reason, "; ".join(broken))
    wire: Any = parsed.to_wire()
    if unknown := list(unknown_fields(one["spec"], wire["spec"], "spec.")):
        raise UserMustActError(reason, f"there are unknown fields: {', '.join(unknown)}")
    return parsed
