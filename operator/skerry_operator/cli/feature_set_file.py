"""Feature sets from files: YAML as it is applied, or a version's document as `skerry features digest --output` has it.

Unknown fields, which the API server would drop, are refused: who writes one means something by it.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from skerry_api.definition import object_schema
from skerry_api.kinds import KINDS
from skerry_api.v1alpha1.featureset import FeatureSet
from skerry_api.v1alpha1.fields import API_VERSION
from skerry_core.canonical import parse_canonical
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.plan import compile_set
from skerry_operator.cli.crd_rules import broken_rules
from skerry_operator.cli.unknown_fields import unknown_fields
from skerry_operator.hub.feature_set.check import publishable

_KIND = next(kind for kind in KINDS if kind.model is FeatureSet)
_DEFAULT_NAMESPACE = "default"


def read_versions(path: Path, namespace: str = "") -> tuple[FeatureSetDocument, ...]:
    """Every FeatureSet of a file, resolved and checked as the hub does; other objects in it are passed over.

    `namespace` is that of sets that name none; `default` unless given. UserMustActError says what is wrong.
    """
    data = path.read_bytes()
    if (document := _document(data)) is not None:
        return (document,)
    try:
        objects = [one for one in yaml.safe_load_all(data) if isinstance(one, dict) and one.get("kind") == _KIND.name]
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserMustActError("FeatureSetInvalid", f"{path} is no YAML: {error}") from error
    if not objects:
        raise UserMustActError("FeatureSetInvalid", f"{path} has no FeatureSet in it")
    return tuple(_resolve(one, namespace) for one in objects)


def read_version(path: Path, namespace: str = "") -> FeatureSetDocument:
    """The only FeatureSet of a file. UserMustActError also if there are more."""
    found = read_versions(path, namespace)
    if len(found) > 1:
        names = ", ".join(document.name for document in found)
        raise UserMustActError("FeatureSetInvalid", f"{path} has several FeatureSets ({names}): give a file with one")
    return found[0]


def _document(data: bytes) -> FeatureSetDocument | None:
    try:
        wire = parse_canonical(data)
        document = FeatureSetDocument.model_validate(wire) if "schemaVersion" in wire else None
    except ValueError:
        return None
    if document is not None:
        compile_set(document)
    return document


def _resolve(one: dict[str, Any], namespace: str) -> FeatureSetDocument:
    if one.get("apiVersion") != API_VERSION:
        raise UserMustActError("FeatureSetInvalid", f"apiVersion is {one.get('apiVersion')!r}, not {API_VERSION}")
    try:
        parsed = FeatureSet.model_validate(one)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UserMustActError("FeatureSetInvalid", told) from error
    if broken := list(broken_rules(one, object_schema(_KIND))):
        raise UserMustActError("FeatureSetInvalid", "; ".join(broken))
    if unknown := list(unknown_fields(one["spec"], parsed.spec.to_wire(), "spec.")):
        raise UserMustActError("FeatureSetInvalid", f"there are unknown fields: {', '.join(unknown)}")
    where = parsed.metadata.namespace or namespace or _DEFAULT_NAMESPACE
    return publishable(where, parsed.metadata.name, parsed.spec).document
