"""Which records of a stream leave the node, and as what. Pure: the policy, the consents and the time are given."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from skerry_core.batch.contents import Absent, AbsentReason, Row
from skerry_core.batch.flags import Flags
from skerry_edge.events.record import ColumnBatch
from skerry_edge.sync.outbound.age import expired
from skerry_edge.sync.outbound.consent import Consents
from skerry_edge.sync.outbound.entity import Sampler, entity_of
from skerry_edge.sync.outbound.path import Tally

_REDACTED = int(Flags.REDACTED)  # an IntFlag's own arithmetic costs more than all else here


@dataclass(frozen=True)
class Outcome:
    """What becomes of some records: every one is in a row or in a range of absent ones, each ascending.

    `misfits` counts values that were taken out because a rule couldn't change them.
    """

    rows: tuple[Row, ...]
    absent: tuple[Absent, ...]
    misfits: int = 0


@dataclass(frozen=True)
class Gate:
    """What holds for one stream: greatest age, data class if it needs consent, share of entities, privacy rules.

    `rules` makes of a body what may leave, or None if it can't be read. `wanted` says of a record that isn't in the
    sample whether it was asked for. `lifetime` is what a record's own age may be besides, None: anything.
    """

    max_age: timedelta
    consent: str | None = None
    share: float = 1.0
    rules: Callable[[bytes, Tally], bytes | None] | None = None
    wanted: Callable[[bytes], bool] | None = None
    lifetime: Callable[[bytes], timedelta | None] | None = None

    def passed(self, batches: Sequence[ColumnBatch], consents: Consents, sampler: Sampler, now: int) -> Outcome:
        """Judge at `now` (µs since 1970) the records of batches in ascending order: age, consent, sampling, rules.

        A record that the rules can't read is Damaged: it doesn't leave. One that was redacted lacks Consent. One with
        no entity is an entity of its own for sampling, and has no consent.
        """
        tally = Tally()
        rows: list[Row] = []
        absent: list[Absent] = []
        for batch, old in zip(batches, self._old(batches, now), strict=True):
            for row, too_old in zip(_rows(batch), old, strict=True):
                gone = too_old or self._outlived(row, now)
                judged = AbsentReason.EXPIRED if gone else self._judge(row, consents, sampler, tally)
                if isinstance(judged, Row):
                    rows.append(judged)
                elif absent and absent[-1].reason is judged and absent[-1].last == row.seq - 1:
                    absent[-1] = Absent(absent[-1].first, row.seq, judged)
                else:
                    absent.append(Absent(row.seq, row.seq, judged))
        return Outcome(tuple(rows), tuple(absent), tally.misfits)

    def _old(self, batches: Sequence[ColumnBatch], now: int) -> list[list[bool]]:
        """For each batch, which of its records are too old; decided over all, since later ones date earlier ones."""
        if not batches:
            return []
        received = np.concatenate([batch.received for batch in batches])
        flags = np.concatenate([batch.flags for batch in batches])
        old = expired(received, flags, self.max_age, now).tolist()
        ends = np.cumsum([len(batch) for batch in batches]).tolist()
        return [old[end - len(batch) : end] for batch, end in zip(batches, ends, strict=True)]

    def _outlived(self, row: Row, now: int) -> bool:
        limit = None if self.lifetime is None else self.lifetime(row.body)
        return limit is not None and row.received < now - limit // timedelta(microseconds=1)

    def _judge(self, row: Row, consents: Consents, sampler: Sampler, tally: Tally) -> Row | AbsentReason:
        if row.flags & _REDACTED:
            return AbsentReason.CONSENT
        if self.consent is not None or self.share < 1:
            entity = entity_of(row.body)
            if self.consent is not None and not consents.cover(entity, self.consent, row.hlc):
                return AbsentReason.CONSENT
            drawn = sampler.takes(f"\0{row.seq}" if entity is None else entity, self.share)
            if not drawn and (self.wanted is None or not self.wanted(row.body)):
                return AbsentReason.SAMPLED
        if self.rules is None:
            return row
        body = self.rules(row.body, tally)
        if body is None:
            return AbsentReason.DAMAGED
        return Row(row.seq, row.hlc, row.time, row.received, row.flags, body)


def _rows(batch: ColumnBatch) -> Iterator[Row]:
    base = int(batch.offsets[0])
    data = bytes(batch.data[base : int(batch.offsets[-1])])
    ends = [offset - base for offset in batch.offsets[1:].tolist()]
    columns = zip(batch.hlc.tolist(), batch.time.tolist(), batch.received.tolist(), batch.flags.tolist(), strict=True)
    start = 0
    for seq, ((hlc, time, received, flags), end) in enumerate(zip(columns, ends, strict=True), batch.first):
        yield Row(seq, hlc, time, received, flags, data[start:end])
        start = end
