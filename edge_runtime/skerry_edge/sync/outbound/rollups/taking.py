"""From a stream's records to the values that its rollups are made of: age, consent and rules have acted. Pure."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skerry_api.v1alpha1.syncpolicy import Consent
from skerry_core.batch.contents import Row
from skerry_core.batch.flags import Flags
from skerry_core.rollups.series import observed
from skerry_core.sync_policy.document import DataClassPolicy
from skerry_edge.ingest.consent import entity_key
from skerry_edge.sync.outbound.entity import entity_of
from skerry_edge.sync.outbound.path import Tally
from skerry_edge.sync.outbound.rollups.windows import Values
from skerry_edge.sync.outbound.rules import Rules

# Of bodies that are taken apart at once: numbers take twenty times as much in memory.
_BYTES = 1 << 19


@dataclass(frozen=True)
class Taking:
    """What holds for a stream's records: its data class if that needs consent, its rules, and what stands for them."""

    consent: str = ""
    rules: Rules | None = None
    stamp: str = ""

    @classmethod
    def by(cls, policy: DataClassPolicy, rules: Rules) -> "Taking":
        """As a data class says, whose compiled rules are `rules`."""
        stamp = hashlib.sha256(policy.model_dump_json(exclude={"ttl"}, exclude_defaults=True).encode()).hexdigest()
        consent = policy.name if policy.consent is Consent.REQUIRED else ""
        return cls(consent, rules if rules.needed else None, stamp)

    def values(self, stream: str, rows: Sequence[Row]) -> Iterator[tuple[Values, int]]:
        """What records say, as the rules leave it; and how many of each one's fields are left out."""
        for row in rows:
            body = row.body if self.rules is None else self.rules.apply(row.body, Tally())
            found = observed(stream, body or b"")
            if not found.values and not found.left_out:
                continue
            entity = entity_key(entity_of(row.body) or "") if self.consent else ""
            # A time that can't be right says nothing of when it was.
            time = row.received if row.flags & Flags.TIME_SKEWED else row.time
            yield Values(row.seq, time, row.received, found.values, row.hlc, entity), found.left_out


def parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Rows by no more bytes than may be taken apart at once; one at least."""
    part: list[Row] = []
    size = 0
    for row in rows:
        if part and size + len(row.body) > _BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row.body)
    if part:
        yield part
