"""Reads the prediction batches that sites uploaded, as an ingester would."""

import io
import json

import zstandard

from skerry_core.store.port import Store


class ConflictingRecordsError(Exception):
    """Two records of one id say different things."""


def stored_predictions(store: Store, site: str) -> dict[str, str]:
    """Request id by prediction id, of everything that a site uploaded, repeats dropped by id."""
    found: dict[str, str] = {}
    for info in store.list(f"sites/{site}/events/"):
        batch = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(b"".join(store.get(info.key))))
        for line in io.TextIOWrapper(batch):
            record = json.loads(line)
            prediction = "{site}/{node}/{epoch}/{seq}".format_map(record)
            if found.setdefault(prediction, record["request"]) != record["request"]:
                raise ConflictingRecordsError(prediction)
    return found
