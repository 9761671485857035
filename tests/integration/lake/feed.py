"""What sites upload in these tests, and what a lake that has it all must hold."""

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from skerry_operator.ingest.lake import Lake
from tests.unit.lake.batches import SiteLog


@dataclass
class Feed:
    """Several logs of `events` events each, in batches that overlap, come in any order, and twice."""

    lake: Lake
    events: int
    seed: int = 1
    logs: list[SiteLog] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        for site in ("berlin", "rome"):
            for node in ("node-1", "node-2"):
                absent = frozenset(self.dice.sample(range(1, self.events + 1), max(self.events // 50, 1)))
                self.logs.append(SiteLog(site=site, node=node, absent=absent))

    def pieces(self, length: int) -> list[tuple[SiteLog, int, int]]:
        """Batches that cover all logs, some cut twice in different places, in random order."""
        pieces = []
        for log in self.logs:
            for start in (0, self.dice.randint(1, length)):
                cuts = [0, *range(start or length, self.events, length), self.events]
                whole = [(log, after, last) for after, last in pairwise(cuts) if after < last]
                pieces += whole if start == 0 else self.dice.sample(whole, len(whole) // 3)
        self.dice.shuffle(pieces)
        return pieces

    def check(self) -> None:
        """Every event is in the table once, every absence recorded once."""
        table = self.lake.read("predictions")
        found = Counter(zip(*(table[name].to_pylist() for name in ("site", "node", "epoch", "seq", "id")), strict=True))
        expected = Counter(
            (log.site, log.node, log.epoch, seq, f"{log.node}-{seq}")
            for log in self.logs
            for seq in range(1, self.events + 1)
            if seq not in log.absent
        )
        assert found - expected == Counter()
        assert expected - found == Counter()
        rows = self.lake.read("_absent").to_pylist()
        absent = Counter(
            (row["site"], row["node"], seq) for row in rows for seq in range(row["first"], row["last"] + 1)
        )
        assert absent == Counter((log.site, log.node, seq) for log in self.logs for seq in log.absent)


def has_all(feed: Feed) -> bool:
    """Whether as many rows are there as there should be, or more."""
    table = feed.lake.read("predictions")
    return table is not None and table.num_rows >= sum(feed.events - len(log.absent) for log in feed.logs)
