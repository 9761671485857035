"""Reads the prediction batches that sites uploaded, as an ingester would."""

import json

from skerry_core.batch.codec import decode
from skerry_core.batch.key import parse_key
from skerry_core.store.port import Store


class ConflictingRecordsError(Exception):
    """Two records of one id say different things."""


def stored_predictions(store: Store, site: str) -> dict[str, str]:
    """Request id by prediction id, of everything that a site uploaded, repeats dropped by id."""
    found: dict[str, str] = {}
    prefix = f"sites/{site}/"
    for info in store.list(f"{prefix}events/"):
        name = parse_key(site, info.key.removeprefix(prefix))
        if name is None or name.log.stream != "predictions":
            continue
        for row in decode(b"".join(store.get(info.key))).rows:
            prediction = f"{site}/{name.log.node}/{name.log.epoch}/{row.seq}"
            request = json.loads(row.body)["request"]
            if found.setdefault(prediction, request) != request:
                raise ConflictingRecordsError(prediction)
    return found
