"""Looks for the hub's requests to send records again (empty objects below `resend/`), and has them sent.

The hub deletes a request once it is filled. What was asked for of a log that isn't here any more is answered as gone.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta

import structlog

from skerry_core.batch.contents import LogName
from skerry_core.batch.key import Resend, batch_key, parse_resend_key, upload_mark
from skerry_edge.sync.outgoing import gone
from skerry_edge.sync.positions import Range
from skerry_edge.sync.scheduler import Scheduler
from skerry_edge.sync.traffic import LISTING, RESEND
from skerry_edge.sync.upload import Outbox, Uploader

# Seconds between two looks where budgets leave room for that; one more right after a link comes back.
EVERY = 30.0
# A request that is still there so long after it was filled is filled once more.
PATIENCE = 3600.0
# Requests of one look that are acted on; the hub asks for the oldest first.
MOST = 256
_LOOK = timedelta(seconds=5)

_log = structlog.get_logger()


class Resends:
    """A loop's step. `outbox` opens the store by the grant in force."""

    def __init__(
        self,
        site: str,
        node: str,
        outbox: Callable[[], Outbox],
        uploader: Uploader,
        scheduler: Scheduler,
    ) -> None:
        self._site = site
        self._node = node
        self._outbox = outbox
        self._uploader = uploader
        self._scheduler = scheduler
        self._looked_at: float | None = None
        self._was_up = True
        self._asked: dict[Resend, float] = {}

    def step(self) -> timedelta:
        """Look, if it is time; the pause until the next step. Raises SkerryError."""
        at = self._scheduler.at
        came_back = self._scheduler.up and not self._was_up
        self._was_up = self._scheduler.up
        pause = self._scheduler.listing_pause(EVERY)
        due = self._looked_at is None or at >= self._looked_at + pause or (came_back and pause <= EVERY)
        if not due or not self._scheduler.may_try:
            return _LOOK
        outbox = self._outbox()
        listing = self._scheduler.beside(LISTING, outbox.list_resends)
        self._looked_at = at
        found = [wanted for info in listing.objects if (wanted := parse_resend_key(self._site, info.key)) is not None]
        self._take([wanted for wanted in found if wanted.log.node == self._node][:MOST], outbox, at)
        return _LOOK

    def _take(self, found: list[Resend], outbox: Outbox, at: float) -> None:
        self._asked = {wanted: when for wanted, when in self._asked.items() if wanted in found and at - when < PATIENCE}
        fresh = [wanted for wanted in found if wanted not in self._asked]
        by_log: defaultdict[LogName, list[Range]] = defaultdict(list)
        for wanted in fresh:
            by_log[wanted.log].append(Range(wanted.first - 1, wanted.last))
        for log, ranges in by_log.items():
            _log.info("records are asked for again", stream=log.stream, epoch=log.epoch, ranges=len(ranges))
            if not self._uploader.ask_again(log.epoch, ranges) and self._uploader.lacks(log.epoch):
                for part in ranges:
                    self._answer_gone(log, part, outbox)
        self._asked |= dict.fromkeys(fresh, at)

    def _answer_gone(self, log: LogName, part: Range, outbox: Outbox) -> None:
        """Say that a log isn't here any more. Its few bytes carry nobody's data, so no tier has to pay for them."""
        fitted = gone(log, part)
        key = batch_key(log, part.after, part.last, fitted.encoded.format, upload_mark())
        self._scheduler.beside(RESEND, lambda: outbox.upload(key, fitted.encoded.data))
