"""Batches as a site's sync uploads them, made up."""

import json
from dataclasses import dataclass, field

from skerry_core.batch.codec import encode
from skerry_core.batch.contents import Absent, AbsentReason, Batch, LogName, Row
from skerry_core.batch.key import batch_key, upload_mark

# 2026-11-01T00:00:00Z in µs.
START = 1_793_491_200_000_000


@dataclass
class SiteLog:
    """One log of one node; `body` makes the body of a sequence number."""

    site: str = "berlin"
    node: str = "node-1"
    stream: str = "predictions"
    epoch: str = "e1"
    absent: frozenset[int] = field(default_factory=frozenset)

    @property
    def name(self) -> LogName:
        return LogName(self.site, self.node, self.stream, self.epoch)

    def body(self, seq: int) -> bytes:
        entity = f"press-{seq % 3}"
        event = {"specversion": "1.0", "id": f"{self.node}-{seq}", "source": "/line/1", "subject": entity}
        return json.dumps({**event, "type": "measured", "data": {"bar": seq / 4, "seq": seq}}).encode()

    def row(self, seq: int) -> Row:
        at = START + seq * 1_000_000
        return Row(seq, (at // 1000) << 16, at, at + 10, 0, self.body(seq))

    def batch(self, after: int, last: int) -> Batch:
        rows = tuple(self.row(seq) for seq in range(after + 1, last + 1) if seq not in self.absent)
        gone = tuple(Absent(seq, seq, AbsentReason.SAMPLED) for seq in range(after + 1, last + 1) if seq in self.absent)
        return Batch(self.name, after, last, rows, gone)

    def upload(self, store, after: int, last: int, batch: Batch | None = None) -> str:
        """Put the batch (after, last] where sync puts it; its key."""
        encoded = encode(batch or self.batch(after, last))
        key = f"sites/{self.site}/{batch_key(self.name, after, last, encoded.format, upload_mark())}"
        store.put(key, encoded.data)
        return key
