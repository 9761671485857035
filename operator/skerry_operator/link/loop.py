"""The link's threads: one keeps the credential, two bring things down, one takes the report up.

Never kopf's event loop: a hub that is away for days costs a few blocked threads, for which nothing at the site waits.
"""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from skerry_core import backoff
from skerry_core.errors import RetryError, SkerryError, UserMustActError
from skerry_operator.link.health import CREDENTIAL, LinkHealth
from skerry_operator.link.local import LocalMirror
from skerry_operator.link.mirror import accept
from skerry_operator.link.outbox import Outbox
from skerry_operator.link.port import Downlink
from skerry_operator.link.session import HubSession

_log = structlog.get_logger()

HEARTBEAT_SECONDS = 15.0
# Reports of a site in turmoil are at least this far apart.
_REPORT_GAP_SECONDS = 1.0
_LONGEST_RETRY = timedelta(seconds=15)
# What only a person can change is looked at again once a minute.
_STALLED_SECONDS = 60.0
# A watch that ends at once (a proxy that cuts them, say) must not become a busy loop.
_WATCH_GAP_SECONDS = 1.0


def _now() -> datetime:
    return datetime.now(UTC)


class LinkLoop:
    """Runs one site's link until `stop` is set."""

    def __init__(
        self,
        session: HubSession,
        mirror: LocalMirror,
        outbox: Outbox,
        health: LinkHealth,
        *,
        site: str,
        hub_key: bytes,
        stop: threading.Event,
    ) -> None:
        self._session = session
        self._mirror = mirror
        self._outbox = outbox
        self._health = health
        self._site = site
        self._hub_key = hub_key
        self._stop = stop
        self._grant: bytes | None = None

    def start(self) -> tuple[threading.Thread, ...]:
        """Start the threads; they are daemons, since one may be blocked in a read when the process should end."""
        activities: dict[str, Callable[[], float]] = {
            CREDENTIAL: self.keep_credential,
            "assignment": lambda: self.follow(Downlink.ASSIGNMENT),
            "grant": lambda: self.follow(Downlink.GRANT),
            "report": self.send_report,
        }
        threads = tuple(
            threading.Thread(target=self._repeat, args=(name, step), name=f"link-{name}", daemon=True)
            for name, step in activities.items()
        )
        for thread in threads:
            thread.start()
        return threads

    def keep_credential(self) -> float:
        """One look at the credential; seconds until the next."""
        return min(self._session.maintain(_now(), refused=self._health.refused).total_seconds(), 60.0)

    def follow(self, what: Downlink) -> float:
        """Mirror one thing on every edge of one watch; seconds until the next watch."""
        link = self._session.link()
        for _ in link.watch(what):
            if what is Downlink.ASSIGNMENT:
                self.mirror_assignment()
            else:
                self.mirror_grant()
            self._health.reached()
            self._health.works(what)
        return _WATCH_GAP_SECONDS

    def mirror_assignment(self) -> None:
        """Bring the hub's assignment down, if it holds and is newer; a missing one changes nothing."""
        offered = self._session.link().latest()
        if offered is None:
            return
        offer = accept(offered, local=self._mirror.assignment(), hub_key=self._hub_key, site=self._site)
        if offer.changes:
            self._mirror.write_assignment(offer.spec)
            serial = offer.document.serial
            _log.info("assignment mirrored", incarnation=serial.incarnation, n=serial.n)

    def mirror_grant(self) -> None:
        """Bring the store grant down; a missing one leaves the last, which ends by itself."""
        content = self._session.link().upload_grant()
        if content is not None and content != self._grant:
            self._mirror.write_grant(content)
            self._grant = content

    def send_report(self) -> float:
        """Send the newest report when it says something new, or as a heartbeat."""
        status = self._outbox.take(HEARTBEAT_SECONDS)
        if status is None:
            return 0.0
        try:
            self._session.link().report(status)
        except SkerryError:
            self._outbox.retry()
            raise
        self._health.reached()
        return _REPORT_GAP_SECONDS

    def _repeat(self, activity: str, step: Callable[[], float]) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                pause = step()
                self._health.works(activity)
                failures = 0
            except SkerryError as error:
                failures += 1
                stalled = isinstance(error, UserMustActError)
                pause = _STALLED_SECONDS if stalled else self._patience(failures)
                if self._health.fails(activity, error, stalled=stalled):
                    _log.warning("link waits", activity=activity, reason=error.reason, message=str(error))
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the link for good
                pause = _LONGEST_RETRY.total_seconds()
                self._health.fails(activity, RetryError("InternalError", repr(error)), stalled=False)
                _log.exception("link failed", activity=activity)
            self._stop.wait(pause)

    @staticmethod
    def _patience(failures: int) -> float:
        dice = random.random()  # noqa: S311 - spreads load, keeps no secret
        return backoff.delay(failures, dice, _LONGEST_RETRY).total_seconds()
