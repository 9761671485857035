"""Predictions of this node by number, from its logs: the live one and those that were set aside."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from skerry_core.batch.flags import Flags
from skerry_core.labels.standing import TOLERANCE_US, Predicted
from skerry_core.lineage.record import Prediction
from skerry_edge.events.clock import milliseconds_of
from skerry_edge.events.identity import ASIDE
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import ColumnBatch

Key: TypeAlias = tuple[str, int]
"""Epoch and number of a record."""

_decode = msgspec.json.Decoder(Prediction).decode


class PredictionLogs:
    """Used by one thread. `folder` is the live log's, and need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._live = LogReader(folder)
        self._folder = folder
        self._aside: dict[str, LogReader] = {}

    def find(self, keys: Iterable[Key]) -> Mapping[Key, Predicted]:
        """Those that are there and can be understood. Raises OSError."""
        wanted: defaultdict[str, list[int]] = defaultdict(list)
        for epoch, seq in keys:
            wanted[epoch].append(seq)
        found = {}
        for epoch, seqs in wanted.items():
            reader = self._reader(epoch)
            # Ascending, so that the reader goes on where it stood.
            for seq in sorted(seqs) if reader is not None else ():
                batches = reader.read(seq, 1) if reader is not None else []
                predicted = _predicted(batches[0]) if batches and batches[0].first == seq else None
                if predicted is not None:
                    found[epoch, seq] = predicted
        return found

    def _reader(self, epoch: str) -> LogReader | None:
        identity = self._live.identity
        if identity is not None and identity.epoch == epoch:
            return self._live
        if epoch not in self._aside:
            self._aside = dict(self._set_aside())
        return self._aside.get(epoch)

    def _set_aside(self) -> Iterable[tuple[str, LogReader]]:
        for path in self._folder.parent.glob(f"{self._folder.name}{ASIDE}*"):
            reader = LogReader(path)
            identity = reader.identity
            if identity is not None:
                yield identity.epoch, reader


def _predicted(batch: ColumnBatch) -> Predicted | None:
    """The first record of a batch."""
    if int(batch.flags[0]) & Flags.REDACTED:
        return None
    try:
        body = _decode(batch.body(0))
    except (msgspec.DecodeError, ValueError):
        return None
    received, pair = int(batch.received[0]), body.pair
    set_back = milliseconds_of(int(batch.hlc[0])) * 1000 - received > TOLERANCE_US
    return Predicted(
        at=None if set_back else received,
        namespace=body.namespace,
        model=body.model,
        digest=body.digest,
        variant=body.variant,
        decided=body.decided,
        champion="" if pair is None else pair.champion,
        champion_decided=None if pair is None else pair.decided,
    )
