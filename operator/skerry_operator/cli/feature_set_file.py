"""Feature sets from files: YAML as it is applied, or the document that `skerry features digest --output` writes."""

from pathlib import Path

from skerry_api.v1alpha1.featureset import FeatureSet
from skerry_core.canonical import parse_canonical
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.plan import compile_set
from skerry_operator.cli.kind_file import read_kind
from skerry_operator.hub.feature_set.check import publishable

_DEFAULT_NAMESPACE = "default"


def read_versions(path: Path, namespace: str = "") -> tuple[FeatureSetDocument, ...]:
    """Every FeatureSet of a file, resolved and checked as the hub does; other objects in it are passed over.

    `namespace` is that of sets that name none; `default` unless given. UserMustActError says what is wrong.
    """
    if (document := _document(path.read_bytes())) is not None:
        return (document,)
    return tuple(_resolve(one, namespace) for one in read_kind(path, FeatureSet))


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


def _resolve(one: FeatureSet, namespace: str) -> FeatureSetDocument:
    where = one.metadata.namespace or namespace or _DEFAULT_NAMESPACE
    return publishable(where, one.metadata.name, one.spec).document
