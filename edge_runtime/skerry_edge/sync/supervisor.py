"""Loops that outlive their faults: each in its own thread, none waiting for another."""

import random
import threading
from collections.abc import Callable
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry, Counter

from skerry_core.backoff import delay
from skerry_core.errors import SkerryError

_log = structlog.get_logger()

Step = Callable[[], timedelta]


class Loop:
    """Runs `step` again and again; it returns how long to pause, and `wake` cuts the pause short.

    Whatever a step raises is logged with its reason and the step is tried again, later each time; a loop ends only
    when the process does.
    """

    def __init__(self, name: str, step: Step) -> None:
        self.name = name
        self._step = step
        self._woken = threading.Event()

    def wake(self) -> None:
        """Let the next step begin at once, or right after the running one."""
        self._woken.set()

    @property
    def woken(self) -> bool:
        """Whether a running step should come to its end, since the next has reason to begin."""
        return self._woken.is_set()

    def run(self, stop: threading.Event, failures: Counter) -> None:
        """Run until `stop`; `failures` counts by loop and reason."""
        log = _log.bind(loop=self.name)
        in_a_row = 0
        while not stop.is_set():
            self._woken.clear()
            try:
                pause = self._step()
            except SkerryError as error:
                reason = error.reason
                log.warning("step failed", reason=reason, message=str(error))
            except OSError as error:  # networks' errors come converted: this is the node's own disk
                reason = "DiskFault"
                log.warning("step failed", reason=reason, message=str(error))
            except Exception:  # a fault that nobody foresaw must not end this loop, let alone the others
                reason = "Unexpected"
                log.exception("step failed", reason=reason)
            else:
                in_a_row = 0
                self._woken.wait(pause.total_seconds())
                continue
            in_a_row += 1
            failures.labels(self.name, reason).inc()
            self._woken.wait(delay(in_a_row, random.random()).total_seconds())  # noqa: S311 - jitter


class Supervisor:
    """Starts the loops and stops them together."""

    def __init__(self, loops: tuple[Loop, ...], registry: CollectorRegistry) -> None:
        self._loops = loops
        self._stop = threading.Event()
        self._failures = Counter(
            "skerry_sync_failures_total", "Failed steps, by loop and reason.", ["loop", "reason"], registry=registry
        )

    def start(self) -> None:
        """Start every loop in its own thread."""
        for loop in self._loops:
            # Daemons: a thread that hangs in a dead connection must not hold up the end of the process, and needn't,
            # since every file is whole at any moment.
            threading.Thread(target=loop.run, args=(self._stop, self._failures), name=loop.name, daemon=True).start()

    def stop(self) -> None:
        """Ask every loop to end after its running step; doesn't wait for them."""
        self._stop.set()
        for loop in self._loops:
            loop.wake()
