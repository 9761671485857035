"""A data class's privacy rules, compiled: a record's body in, what may leave the node out. Pure, and total.

Whatever the body is, nothing that a rule marks comes out: bodies are written anew from what was read, so that a key
given twice can't hide a value, and a body that can't be read doesn't leave at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from skerry_api.v1alpha1.syncpolicy import PrivacyAction
from skerry_core.devices import MEMBER
from skerry_core.sync_policy.document import DataClassPolicy, Rule
from skerry_edge.sync.outbound.change import coarsener, collector, drop, hasher
from skerry_edge.sync.outbound.path import GONE, Change, Json, Path, Tally

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

# What msgspec raises for text that is no JSON, or no UTF-8 inside it, and for nesting beyond Python's own limit.
UNREADABLE = (ValueError, RecursionError)


@dataclass(frozen=True)
class Rules:
    """The rules of one data class, in order: each is applied to what those before it left."""

    subject: Change | None
    changes: tuple[tuple[Path, Change], ...]

    @classmethod
    def compile(cls, policy: DataClassPolicy, key: bytes) -> "Rules":
        """Compile a data class; hashes are keyed with `key`."""
        hashed = hasher(key, policy.name)
        return cls(
            hashed if policy.hash_subject else None,
            tuple((Path.parse(rule.path), _change(index, rule, hashed)) for index, rule in enumerate(policy.rules)),
        )

    @property
    def needed(self) -> bool:
        """Whether a body has to be looked at."""
        return self.subject is not None or bool(self.changes)

    def apply(self, body: bytes, tally: Tally) -> bytes | None:
        """What of a body may leave; None if it can't be read, so that nothing may."""
        if not self.needed:
            return body
        try:
            record = _decode(body)
            if not isinstance(record, dict):
                return None
            self._apply(record, tally)
            return _encode(record)
        except UNREADABLE:
            return None

    def collected(self, body: bytes) -> Sequence[tuple[int, int | float]]:
        """Numbers that Aggregate rules take out of a body, each with its rule's index; none if it can't be read."""
        tally = Tally()
        try:
            record = _decode(body)
            if isinstance(record, dict):
                self._apply(record, tally)
        except UNREADABLE:
            return ()
        return tally.values

    def _apply(self, record: dict[str, Json], tally: Tally) -> None:
        if self.subject is not None and isinstance(record.get(MEMBER), dict):
            del record[MEMBER]  # what is known of a device can tell whose it is, as well as a name does
        if self.subject is not None and record.get("subject") is not None:
            changed = self.subject(record["subject"], tally)
            if changed is GONE:
                del record["subject"]
            else:
                record["subject"] = changed
        if not self.changes:
            return
        if record.pop("data_base64", None) is not None:
            tally.misfits += 1  # bytes of unknown form: no path leads into them, so none of them may leave
        if "data" not in record and "specversion" not in record:  # one of Skerry's own records
            self._apply_below(record, tally)
        elif "data" in record and self._apply_below(record["data"], tally) is GONE:
            del record["data"]

    def _apply_below(self, value: Json, tally: Tally) -> Json:
        for path, change in self.changes:
            value = path.apply(value, change, tally)
            if value is GONE:
                return GONE
        return value


def _change(index: int, rule: Rule, hashed: Change) -> Change:
    match rule.action:
        case PrivacyAction.DROP:
            return drop
        case PrivacyAction.HASH:
            return hashed
        case PrivacyAction.COARSEN:
            assert rule.coarsen is not None
            return coarsener(rule.coarsen)
        case PrivacyAction.AGGREGATE:
            return collector(index)
