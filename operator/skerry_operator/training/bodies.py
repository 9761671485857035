"""Bodies of a history's rows, for a feature set. No I/O."""

import pyarrow as pa

from skerry_core.errors import UserMustActError
from skerry_core.features.definition import FeatureSetDocument
from skerry_operator.ingest.bodies import BodyPlan, column_of, columns_of

# Members of an envelope that ingest keeps in another form, or not at all.
_NOT_KEPT = frozenset({"time", "specversion"})


def body_plan(document: FeatureSetDocument, schema: pa.Schema) -> BodyPlan:
    """Of each body what the set looks at. UserMustActError MissingColumn names what it needs and the table lacks."""
    entities = [entity.path for entity in document.entities]
    required = {*entities, *(source.path for source in document.fields if source.required)}
    paths = sorted(document.paths)
    missing = {path for path in required if not {*columns_of(path)} & {*schema.names}} | _NOT_KEPT.intersection(paths)
    if missing:
        named = ", ".join(f"{path} ({column_of(path)})" for path in sorted(missing))
        raise UserMustActError(
            "MissingColumn",
            f"the history of {document.stream} has no column for {named}, which the feature set reads: "
            "it never came in, or a rule of privacy keeps it on the sites",
        )
    return BodyPlan.compile(paths, entities, schema)
