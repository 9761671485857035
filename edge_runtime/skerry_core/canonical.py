"""Canonical JSON (RFC 8785), the only bytes that are ever signed or digested."""

import json
from typing import Any

import rfc8785
from pydantic import BaseModel

_EXACT = 2**53


def canonical_json(document: BaseModel | dict[str, Any]) -> bytes:
    """Encode a document to its canonical bytes: camelCase keys, absent fields left out."""
    if isinstance(document, BaseModel):
        document = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    return rfc8785.dumps(document)


def parse_canonical(data: bytes) -> dict[str, Any]:
    """Read a JSON object whose bytes are its canonical encoding; ValueError for any other bytes.

    So a digest names one document: no second spelling, no repeated keys that two parsers read differently.
    """
    try:
        document = json.loads(data, parse_int=_number)
        canonical = isinstance(document, dict) and rfc8785.dumps(document) == data
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not canonical:
        raise ValueError("not a JSON object in canonical form (RFC 8785)")
    return dict(document)


def _number(digits: str) -> int | float:
    """Numbers are doubles (RFC 8785, section 3.2.2.3): an integer that a double can't hold exactly is read as one."""
    number = float(digits)
    return int(digits) if abs(number) < _EXACT else number
