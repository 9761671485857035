"""Canonical JSON (RFC 8785), the only bytes that are ever signed or digested."""

from typing import Any

import rfc8785
from pydantic import BaseModel


def canonical_json(document: BaseModel | dict[str, Any]) -> bytes:
    """Encode a document to its canonical bytes: camelCase keys, absent fields left out."""
    if isinstance(document, BaseModel):
        document = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    return rfc8785.dumps(document)
