"""Late feedback of a node: a thread that follows the stream `labels` and joins it to the node's predictions."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import structlog

from skerry_api.v1alpha1.syncpolicy import LABELS, PREDICTIONS
from skerry_core.batch.flags import Flags
from skerry_core.evidence.window import Labelled
from skerry_core.labels.feedback import Feedback
from skerry_core.labels.standing import Terms
from skerry_core.labels.tally import Tally, tally
from skerry_edge.events.follow import Place
from skerry_edge.events.record import ColumnBatch
from skerry_edge.features.feed import Feed
from skerry_edge.features.ports import Withdrawals
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.label import Label, read_label
from skerry_edge.labels.joiner import Counts, Joiner
from skerry_edge.labels.predictions import PredictionLogs

TermsByModel: TypeAlias = Mapping[tuple[str, str], Terms]
"""What Models ask of labels, by namespace and name."""

_POLL_SECONDS = 1.0
_AGAIN_SECONDS = 5.0
# Summing up what is held takes tens of milliseconds at most, of an interpreter that has requests to answer.
_SUM_SECONDS = 5.0
_AT_ONCE = 1024

_log = structlog.get_logger(__name__)


class Labels:
    """Nothing of it can keep the process from serving models."""

    def __init__(
        self,
        site: str,
        node: str,
        logs: Path,
        terms: Callable[[], TermsByModel],
        withdrawals: Withdrawals,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`logs` has the streams' folders; `terms` and `withdrawals` (see `Course`) are asked by the thread."""
        self._feed = Feed(logs / LABELS)
        self._joiner = Joiner((site, node), PredictionLogs(logs / PREDICTIONS).find)
        self._terms = terms
        self._withdrawals = withdrawals
        self._steady = steady
        self._position: dict[str, int] = {}
        self._held: tuple[str, Place] = ("", Place())
        self._summed: TermsByModel = {}
        self._stale = False
        self._sum_at = steady()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labels", daemon=True)
        self.tally = Tally()

    @property
    def counts(self) -> Counts:
        """Of labels since the process began."""
        return self._joiner.counts

    def labelled(self, champion: str, challenger: str) -> Labelled:
        """What labels say by now of two releases, by digest, on the requests that both ran."""
        return self.tally.labelled(champion, challenger)

    def start(self) -> None:
        """Begin to follow, from the beginning of what the logs hold."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def step(self) -> bool:
        """Take what comes next in the log; whether there may be more. Raises OSError, SkerryError."""
        self._withdraw()
        chunk = self._feed.read(self._position, _AT_ONCE)
        now = self._steady()
        if chunk is None:
            self._stale = self._joiner.look(now) or self._stale
        else:
            for batch in chunk.batches:
                self._stale = self._joiner.take(_labels(batch), now) or self._stale
                self._position[chunk.behind.epoch] = batch.last + 1
        self._sum_up(now, done=chunk is None)
        return chunk is not None

    def _withdraw(self) -> None:
        """What was redacted is forgotten with all the rest, and the rest is read again. Raises OSError."""
        held, place, subjects = self._withdrawals(LABELS, *self._held)
        if subjects:
            self._joiner.clear()
            self._feed.restart()
            self._position, self._stale = {}, True
        self._held = held, place

    def _sum_up(self, now: float, *, done: bool) -> None:
        terms = self._terms()
        if terms != self._summed:
            self._summed, self._stale = terms, True
        if self._stale and done and now >= self._sum_at:
            asked = self._summed
            self.tally = tally(self._joiner.joined(), lambda *model: asked.get(model, _NOTHING_ASKED))
            self._stale, self._sum_at = False, now + _SUM_SECONDS

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = _POLL_SECONDS
            try:
                pause = 0.0 if self.step() else _POLL_SECONDS
            except Exception as error:  # noqa: BLE001 - a bug here must not end it for good
                _log.exception("labels can't be followed", error=str(error)[:300])
                pause = _AGAIN_SECONDS
            self._stopping.wait(pause)


_NOTHING_ASKED = Terms()


def _labels(batch: ColumnBatch) -> Iterable[tuple[Label, Feedback]]:
    for record in batch.records():
        if record.flags & Flags.REDACTED:
            continue
        try:
            label = read_label(record.body)
        except MalformedError:
            continue  # taken in by another version of this code
        yield label, label.feedback(record.time, record.received, record.flags)
