"""Feast's SQLite online store, in a process of the venv that `feast_venv` makes: nothing of this project is there.

`python feast_store.py FOLDER FEATURE...` reads lines of JSON and answers each with one:
{"write": {person: [value, ...]}}, {"read": [person, ...]} → the values, {"time": [person, ...]} → seconds by way.
"""

# ruff: noqa: T201 - answers go to standard output

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64, String
from feast.value_type import ValueType

VIEW = "watches"


class Store:
    """One feature view."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.names = names
        config = RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store=SqliteOnlineStoreConfig(path=str(folder / "online.db")),
            entity_key_serialization_version=3,
        )
        (folder / "nothing.parquet").touch()
        source = FileSource(path=str(folder / "nothing.parquet"), timestamp_field="event_timestamp")
        person = Entity(name="person", join_keys=["person"], value_type=ValueType.STRING)
        self._config = config
        self._store = FeatureStore(config=config)
        self._store.apply(
            [
                person,
                FeatureView(
                    name=VIEW,
                    entities=[person],
                    ttl=timedelta(hours=1),
                    schema=[Field(name="person", dtype=String), *(Field(name=name, dtype=Float64) for name in names)],
                    source=source,
                ),
            ]
        )
        self._view = self._store.get_feature_view(VIEW)
        self._online = self._store._get_provider().online_store
        self._asked = [f"{VIEW}:{name}" for name in names]

    def write(self, rows: dict[str, list[float]]) -> None:
        frame = pd.DataFrame([[person, *values] for person, values in rows.items()], columns=["person", *self.names])
        frame["event_timestamp"] = datetime.now(UTC)
        self._store.write_to_online_store(VIEW, frame)

    def api(self, person: str) -> list[float]:
        """As its documentation says to read."""
        found = self._store.get_online_features(features=self._asked, entity_rows=[{"person": person}]).to_dict()
        return [found[name][0] for name in self.names]

    def store(self, person: str) -> list[float]:
        """The online store alone, which is less than anybody can use."""
        key = EntityKey(join_keys=["person"], entity_values=[Value(string_val=person)])
        ((_, found),) = self._online.online_read(self._config, self._view, [key], self.names)
        return [found[name].double_val for name in self.names]


def main() -> None:
    """Answer until the input ends."""
    store = Store(Path(sys.argv[1]), sys.argv[2:])
    for line in sys.stdin:
        ((order, given),) = json.loads(line).items()
        answer: object = None
        if order == "write":
            store.write(given)
        elif order == "read":
            assert [store.api(person) for person in given] == (answer := [store.store(person) for person in given])
        else:
            answer = {way.__name__: _seconds(way, given) for way in (store.store, store.api)}
        print(json.dumps(answer), flush=True)


def _seconds(read, people: list[str]) -> float:
    """CPU time of this thread, as it is taken of what Feast is compared with."""
    began = time.thread_time()
    for person in people:
        read(person)
    return (time.thread_time() - began) / len(people)


if __name__ == "__main__":
    main()
