"""What of the stream `consent` leaves the site: who consents to what, by hash. Pure, and total.

A record names its entity in clear, as it must for the node to go by it. Unless a data class has rules for the stream,
names leave as hashes: `data.subjects` has, by data class, what stands for the entity in that class' events (if their
subjects are hashed), so that the hub can join the two. `subject`, `source` and `id` are hashes of a domain of their
own, and so is `data.relay`, which is the `subject` where another node tells of the entity. What else a producer wrote
into the record doesn't leave.
"""

from collections.abc import Iterable

import msgspec

from skerry_api.v1alpha1.syncpolicy import CONSENT
from skerry_core.sync_policy.document import DataClassPolicy
from skerry_edge.ingest.cloudevent import SPEC_VERSION
from skerry_edge.ingest.consent import Relayed, entity_key, read_record, site_hash
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.sync.outbound.change import hasher
from skerry_edge.sync.outbound.path import Change, Tally
from skerry_edge.sync.outbound.rules import UNREADABLE


class _Record(msgspec.Struct):
    id: str
    source: str
    type: str
    time: str | None = None


_decode = msgspec.json.Decoder(_Record).decode
_encode = msgspec.json.Encoder().encode


class ConsentRecords:
    """Makes what leaves of a record's body; for a Gate."""

    def __init__(self, classes: Iterable[DataClassPolicy], key: bytes, relay_key: bytes) -> None:
        """`classes` are the policy's; hashes are keyed with `key`, those between nodes with `relay_key`."""
        self._own = hasher(key, CONSENT)
        self._relay_key = relay_key
        self._by_class: dict[str, Change] = {
            policy.name: hasher(key, policy.name) for policy in classes if policy.hash_subject
        }

    def apply(self, body: bytes, tally: Tally) -> bytes | None:
        """What of a body may leave; None if it can't be read, so that nothing may."""
        try:
            record, change = _decode(body), read_record(body)
        except (MalformedError, *UNREADABLE):
            return None
        if isinstance(change, Relayed):
            return self._relayed(record, change, tally)
        classes = sorted(change.data_classes)
        subjects = {name: self._by_class[name](change.entity, tally) for name in classes if name in self._by_class}
        return _encode(
            {
                "specversion": SPEC_VERSION,
                "id": self._own(record.id, tally),
                "source": self._own(record.source, tally),
                "type": record.type,
                "subject": self._own(change.entity, tally),
                **({} if record.time is None else {"time": record.time}),
                "data": {
                    "dataClasses": classes,
                    "relay": self._own(site_hash(self._relay_key, entity_key(change.entity)), tally),
                    **({"subjects": subjects} if subjects else {}),
                },
            }
        )

    def _relayed(self, record: _Record, relayed: Relayed, tally: Tally) -> bytes:
        """What another node told of; after a loss, nobody's consent holds here."""
        subject = {} if relayed.entity is None else {"subject": self._own(relayed.entity, tally)}
        return _encode(
            {
                "specversion": SPEC_VERSION,
                "id": self._own(record.id, tally),
                "source": self._own(record.source, tally),
                "type": relayed.type,
                **subject,
                "data": {"dataClasses": sorted(relayed.data_classes)},
            }
        )
