"""Bodies of events to columns: what is wanted of an event is decoded, checked, and brought to the set's units.

An event that isn't what the set says is refused, with a reason and the field, and nothing of it counts. The same bytes
give the same columns on every node: all arithmetic here is one multiplication and one addition of float64.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from skerry_core.devices import ALONG, AS_OF_PATH, REVISION_PATH, reads_device
from skerry_core.errors import UserMustActError
from skerry_core.features.columns import Integers
from skerry_core.features.definition import Entity, FieldType, SourceField
from skerry_core.features.entity_key import KEY_TYPE, entity_key
from skerry_core.features.fields import ToldCheck, check_for, check_told
from skerry_core.micros import micros_of, rfc3339

_PATH_IN_MESSAGE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_TYPES: Mapping[FieldType, Any] = {
    FieldType.FLOAT64: float | None,
    # A float that is whole is an integer; the check says which are.
    FieldType.INT64: int | float | None,
    FieldType.BOOL: bool | None,
    FieldType.STRING: str | None,
    FieldType.VECTOR: list[float] | None,
}
_ANY = str | int | float | bool | list[float] | None
_FOREVER = (1 << 63) - 1
_MISSING = frozenset({"EntityMissing", "Missing", "UnitMissing"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that can't be taken: `row` of the batch. `reason` is CamelCase, `field` a name or path, maybe empty."""

    row: int
    reason: str
    field: str


@dataclass(frozen=True)
class Normalized:
    """What is left of a batch: `rows` (by number in the batch), each one's entity key, and values by field name.

    A field's values are Python objects of its type, None where the event has none. `as_of` is int64 by row, in
    microseconds: when the registry was right that the event's device was found in; None if nothing of devices is read.
    """

    rows: list[int]
    keys: list[bytes]
    fields: Mapping[str, Sequence[Any]]
    refusals: list[Refusal]
    as_of: Integers | None = None


@dataclass(frozen=True)
class Normalizer:
    """The compiled entities and fields of a set."""

    entities: tuple[Entity, ...]
    fields: tuple[SourceField, ...]
    checks: tuple[ToldCheck, ...]
    paths: tuple[str, ...]
    decode: Callable[[bytes], Any]
    getters: tuple[Callable[[Any], Any], ...]

    @classmethod
    def compile(cls, entities: tuple[Entity, ...], fields: tuple[SourceField, ...]) -> "Normalizer":
        """Make the decoder. UserMustActError FeatureSetInvalid if names or paths exclude each other."""
        names = [*(part.name for part in entities), *(source.name for source in fields)]
        if len(set(names)) < len(names):
            raise UserMustActError("FeatureSetInvalid", "two entities or fields have the same name")
        tree: dict[str, Any] = {}
        wanted: list[tuple[str, Any]] = [(entity.path, KEY_TYPE) for entity in entities]
        wanted += [(source.path, _TYPES[source.type]) for source in fields]
        wanted += [(path, str | None) for path in _beside(entities, fields)]
        for path, leaf in wanted:
            _graft(tree, path, leaf)
        shape, attributes = _shape(tree)
        checks = tuple(map(_check, fields))
        paths = tuple(path for path, _ in wanted)
        getters = tuple(attrgetter(attributes[path]) for path in paths)
        return cls(entities, fields, checks, paths, msgspec.json.Decoder(shape).decode, getters)

    def normalize(self, bodies: Sequence[bytes]) -> Normalized:
        """Decode and check a batch."""
        refusals: list[Refusal] = []
        rows, events = self._decode(bodies, refusals)
        columns = [list(map(getter, events)) for getter in self.getters]
        parts = len(self.entities)
        beside = dict(zip(self.paths[parts + len(self.fields) :], columns[parts + len(self.fields) :], strict=True))
        found: dict[int, Refusal] = {}
        keys = self._keys(columns[:parts], rows, found)
        fields: dict[str, Sequence[Any]] = {}
        for source, check, values in zip(self.fields, self.checks, columns[parts:], strict=False):
            checked, faults = check(values, _units(source, beside, len(rows)))
            fields[source.name] = checked
            for at, reason in faults.items():
                found.setdefault(at, Refusal(rows[at], reason, source.name))
        as_of = _moments(beside[AS_OF_PATH]) if AS_OF_PATH in beside else None
        if not found:
            return Normalized(rows, keys, fields, refusals, as_of)
        if REVISION_PATH in beside:
            self._blame_devices(found, beside[REVISION_PATH])
        refusals = sorted([*refusals, *found.values()], key=lambda refusal: refusal.row)
        kept = [at for at in range(len(rows)) if at not in found]
        return Normalized(
            rows=[rows[at] for at in kept],
            keys=[keys[at] for at in kept],
            fields={name: [values[at] for at in kept] for name, values in fields.items()},
            refusals=refusals,
            as_of=None if as_of is None else as_of[kept],
        )

    def _blame_devices(self, found: dict[int, Refusal], revisions: Sequence[str | None]) -> None:
        """What is missing of an unknown device isn't the producer's fault."""
        of_devices = {each.name for each in self.entities if reads_device([each.path])}
        of_devices |= {each.name for each in self.fields if reads_device(each.paths)}
        for at, refusal in found.items():
            if revisions[at] is None and refusal.reason in _MISSING and refusal.field in of_devices:
                found[at] = Refusal(refusal.row, "UnknownDevice", refusal.field)

    def _decode(self, bodies: Sequence[bytes], refusals: list[Refusal]) -> tuple[list[int], list[Any]]:
        decode = self.decode
        try:
            return list(range(len(bodies))), [decode(body) for body in bodies]
        except (ValueError, RecursionError):
            pass
        rows, events = [], []
        for row, body in enumerate(bodies):
            try:
                events.append(decode(body))
                rows.append(row)
            except msgspec.ValidationError as error:
                refusals.append(self._refusal(row, str(error)))
            except (ValueError, RecursionError):
                refusals.append(Refusal(row, "NotJson", ""))
        return rows, events

    def _refusal(self, row: int, message: str) -> Refusal:
        match = _PATH_IN_MESSAGE.search(message)
        path = (match["path"] if match else "").partition("[")[0]
        names = {source.path: source.name for source in self.fields}
        names |= {part.path: part.name for part in self.entities}
        reason = "OutOfRange" if message.startswith("Number out of range") else "WrongType"
        return Refusal(row, reason, names.get(path, path[:256]))

    def _keys(self, parts: Sequence[Sequence[Any]], rows: list[int], found: dict[int, Refusal]) -> list[bytes]:
        """Each row's key; where its parts are none, a fault is noted."""
        together = list(zip(*map(_plain, parts), strict=True))
        known: dict[tuple[Any, ...], bytes] = {}
        wrong: dict[tuple[Any, ...], tuple[str, str]] = {}
        for key in dict.fromkeys(together):
            try:
                known[key] = entity_key(key)
            except ValueError as error:
                missing = next((e.name for e, value in zip(self.entities, key, strict=True) if value is None), "")
                known[key], wrong[key] = b"", (str(error), missing)
        if wrong:
            found.update((at, Refusal(rows[at], *wrong[key])) for at, key in enumerate(together) if key in wrong)
        return list(map(known.__getitem__, together))


def _beside(entities: Sequence[Entity], fields: Sequence[SourceField]) -> tuple[str, ...]:
    """Paths to what isn't a value itself: units, and whether the device was known, as of when."""
    units = [path for source in fields if source.told_unit is not None for path in source.told_unit.paths]
    own = [each.path for each in entities] + [each.path for each in fields] + units
    return tuple(dict.fromkeys([*units, *(ALONG if reads_device(own) else ())]))


def _check(source: SourceField) -> ToldCheck:
    if source.told_unit is not None:
        return check_told(source)
    check = check_for(source)
    return lambda values, _: check(values)


def _units(source: SourceField, beside: Mapping[str, Sequence[Any]], count: int) -> Sequence[Any]:
    """The unit that each event tells, by the first path that leads to one."""
    if source.told_unit is None:
        return ()
    units: list[Any] = [None] * count
    for path in reversed(source.told_unit.paths):
        units = [known if told is None else told for known, told in zip(units, beside[path], strict=True)]
    return units


def _moments(told: Sequence[Any]) -> Integers:
    """Where nothing is told, reference data are right for ever; what is told and no time vouches for nothing."""
    texts = [text if text is None or isinstance(text, str) else "" for text in told]
    moments = {text: _FOREVER if text is None else _moment(text) for text in set(texts)}
    return np.array([moments[text] for text in texts], dtype=np.int64)


def _moment(text: str) -> int:
    try:
        moment = micros_of(datetime.fromisoformat(text))
    except (ValueError, TypeError):
        return 0
    # What else is taken for a time depends on Python's version.
    return moment if rfc3339(moment) == text else 0


def _plain(values: Sequence[Any]) -> Sequence[Any]:
    """Texts and integers; of others something that is neither, nor equal to one as True is to 1."""
    if set(map(type, values)) <= {str, int}:
        return values
    return [value if value is None or type(value) in {str, int} else b"" for value in values]


def _graft(tree: dict[str, Any], path: str, leaf: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise UserMustActError("FeatureSetInvalid", f"path {path} leads through a value")
    if isinstance(tree.get(last), dict):
        raise UserMustActError("FeatureSetInvalid", f"path {path} leads to what other paths lead through")
    # Two uses of one value: each checks for its own type.
    tree[last] = _ANY if last in tree and tree[last] != leaf else leaf


def _shape(tree: Mapping[str, Any]) -> tuple[type[msgspec.Struct], dict[str, str]]:
    """A Struct of just what is wanted, and for each path the attributes that lead to it."""
    members: list[tuple[str, Any, Any]] = []
    attributes, rename = {}, {}
    for number, (name, below) in enumerate(tree.items()):
        attribute = f"a{number}"
        rename[attribute] = name
        if isinstance(below, dict):
            inner, paths = _shape(below)
            members.append((attribute, inner, msgspec.field(default_factory=inner)))
            attributes.update({f"{name}.{path}": f"{attribute}.{rest}" for path, rest in paths.items()})
        else:
            members.append((attribute, below, None))
            attributes[name] = attribute
    shape = msgspec.defstruct("Wanted", members, rename=rename, gc=False)
    return shape, attributes
