"""A store without a disk, and an engine that counts and sums."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

from msgspec import structs

from skerry_core.features.normalize import Refusal
from skerry_core.features.read import FeatureStatus, FeatureValue, Reading
from skerry_edge.features.ports import Applied

SECOND = 1_000_000


class FakeStore:
    def __init__(self):
        self._notes = {}
        self._entities = {}
        self.commits = 0
        self.broken = None

    def notes(self):
        return dict(self._notes)

    def entities(self, digest):
        yield from sorted(self._entities.get(digest, {}).items())

    def get(self, digest, key):
        return self._entities.get(digest, {}).get(key)

    def commit(self, changes):
        if self.broken is not None:
            raise self.broken
        self.commits += 1
        for change in changes:
            self._notes[change.digest] = change.note
            mine = self._entities.setdefault(change.digest, {})
            for key, record in change.entities.items():
                if record is None:
                    mine.pop(key, None)
                else:
                    mine[key] = record

    @contextmanager
    def at_rest(self, digest):
        yield self._notes[digest], iter(sorted(self._entities[digest].items()))

    def load(self, digest, note, entities, merged=None):
        kept = {} if merged is None else self._entities.get(digest, {})
        loaded = kept | {key: merged(kept[key], other) if key in kept else other for key, other in entities()}
        self._notes[digest], self._entities[digest] = note, loaded

    def drop(self, digest):
        self._notes.pop(digest, None)
        self._entities.pop(digest, None)

    def size(self):
        return 0

    def checked(self):
        pass

    purge_noted = False

    def note_purge(self):
        self.purge_noted = True

    def scrub(self):
        self.purge_noted = False

    def close(self):
        pass


@dataclass(frozen=True)
class FakeEngine:
    """Two features of events {"k": entity, "v": number}: how many, and their sum; present for `ttl` seconds."""

    max_entities: int = 1000
    max_bytes: int = 1 << 20
    ttl: int = 60
    name: str = "press"

    @property
    def document(self):
        limits = SimpleNamespace(max_entities=self.max_entities, max_bytes=self.max_bytes)
        return SimpleNamespace(
            namespace="plant",
            name=self.name,
            version="1.0.0",
            stream="vitals",
            limits=limits,
            entities=(SimpleNamespace(name="press"),),
            features=(SimpleNamespace(name="count", default=0.0), SimpleNamespace(name="total", default=None)),
        )

    def key(self, entity):
        return "\0".join(entity).encode()

    by_subject = True

    def may_be_of(self, key, subjects):
        return key.decode() in subjects

    def take(self, events):
        return events

    def apply(self, events, states):
        changed, refused = {}, []
        for index, body in enumerate(events.bodies):
            event = json.loads(body)
            if "k" not in event:
                refused.append(Refusal(index, "FieldMissing", "k"))
                continue
            key = event["k"].encode()
            count, total, newest = changed.get(key) or states.get(key) or (0, 0, 0)
            changed[key] = (count + 1, total + event["v"], max(newest, int(events.time[index])))
        return Applied(changed, refused)

    def encode(self, state):
        return json.dumps(state).encode()

    def decode(self, data):
        return tuple(json.loads(data))

    def merge(self, one, other, now):
        return (one[0] + other[0], one[1] + other[1], max(one[2], other[2]))

    reach = 60 * SECOND
    recency = frozenset()

    def read(self, state, now):
        if state is None:
            nothing = (FeatureValue(name, None, FeatureStatus.NOT_FOUND, None, None) for name in ("count", "total"))
            return Reading(tuple(nothing), 2**62)
        count, total, newest = state
        end = newest + self.ttl * SECOND
        status = FeatureStatus.PRESENT if now <= end else FeatureStatus.OUTSIDE_MAX_AGE
        pairs = (("count", count), ("total", total))
        values = tuple(
            FeatureValue(name, float(value), status, max(now - newest, 0), newest, 1, newest) for name, value in pairs
        )
        return Reading(values, end + 1 if now <= end else 2**62)

    def at(self, reading, now):
        values = (
            value if value.as_of is None else structs.replace(value, age_us=max(now - value.as_of, 0))
            for value in reading.values
        )
        return Reading(tuple(values), reading.until_us)
