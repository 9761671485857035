"""Plain JSON that is no CloudEvent: it becomes the `data` of one, with attributes made here."""

from collections.abc import Mapping

import msgspec

from skerry_edge.ingest import cloudevent, json_shape
from skerry_edge.ingest.cloudevent import Attribute, Event

TYPE = "dev.skerry.plain"


def wrap(raw: bytes, attributes: Mapping[str, Attribute], made_id: str, *, given_id: bool) -> Event:
    """Make an event of a JSON value; `attributes` are what is known of it, its source among them.

    Raises MalformedError.
    """
    json_shape.decode_value(raw)
    whole: dict[str, Attribute] = {
        "specversion": cloudevent.SPEC_VERSION,
        "type": TYPE,
        **attributes,
        "id": made_id,
        "datacontenttype": cloudevent.JSON,
    }
    return cloudevent.build(whole, {"data": msgspec.Raw(json_shape.compact(raw))}, given_id=given_id)
