"""The workers of a Dask cluster, for more than one machine's work. The only module that calls Dask, which is an extra.

On Kubernetes that cluster is Dask's own operator's: a DaskCluster whose image is ingest's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from distributed import Client

from skerry_core.errors import RetryError, SkerryError, UserMustActError, WaitError
from skerry_operator.ingest.part import Part, PartResult, work

# A share that takes longer hangs: it's given up, and everything is planned again.
_LONGEST_SECONDS = 600.0
_CLOSING_SECONDS = 5.0
_ANSWER_SECONDS = 30.0

_T = TypeVar("_T")
_R = TypeVar("_R")


class DaskWorkers:
    """The workers of a Dask cluster. One that dies loses nothing: its shares are done again by others."""

    def __init__(self, scheduler: str) -> None:
        """Take the scheduler's address, `tcp://HOST:PORT`; it's asked when there is work, and anew after failures."""
        self._scheduler = scheduler
        self._connected: Client | None = None

    def shares(self) -> int:
        with self._trouble() as client:
            # Not `client.scheduler_info`: it gives out a field that a timer of the client's fills without workers, and
            # on a busy machine the timer comes in between.
            assert client.scheduler is not None
            asked = client.scheduler.identity
            found = client.sync(asked, n_workers=-1, callback_timeout=_ANSWER_SECONDS)  # type: ignore[no-untyped-call]
            count = len(found["workers"])
        if not count:
            raise WaitError("DaskUnavailable", f"the Dask scheduler {self._scheduler} has no workers: start some")
        return count

    def work(self, parts: Sequence[Part]) -> list[PartResult]:
        return self.run(work, parts, _LONGEST_SECONDS)

    def run(self, function: Callable[[_T], _R], items: Sequence[_T], seconds: float) -> list[_R]:
        """Apply a function to each item, all within so many seconds; results in the items' order."""
        with self._trouble() as client:
            futures = client.map(partial(_told, function), items, pure=False)
            try:
                deadline = time.monotonic() + seconds
                answers = [future.result(timeout=max(deadline - time.monotonic(), 1.0)) for future in futures]
            finally:
                client.cancel(futures)  # type: ignore[no-untyped-call]
        done: list[_R] = []
        for answer in answers:
            if isinstance(answer, _Failure):
                raise answer.policy(answer.reason, answer.message)
            done.append(answer)
        return done

    def close(self) -> None:
        """Leave the cluster; whoever asks again is connected anew."""
        connected, self._connected = self._connected, None
        if connected is not None:
            connected.close(timeout=_CLOSING_SECONDS)  # type: ignore[no-untyped-call]

    @contextmanager
    def _trouble(self) -> Iterator["Client"]:
        """Lend the connection; whatever Dask or its network says against it is ours to try again."""
        try:
            if self._connected is None:
                self._connected = Client(self._scheduler, set_as_default=False)  # type: ignore[no-untyped-call]
            yield self._connected
        except Exception as error:
            self.close()
            raise WaitError("DaskUnavailable", f"Dask's workers behind {self._scheduler}: {error!r}") from error


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error of ours on its way from a worker; exceptions with arguments of their own don't travel."""

    policy: type[SkerryError]
    reason: str
    message: str


def _told(function: Callable[[_T], _R], item: _T) -> _R | _Failure:
    try:
        return function(item)
    except SkerryError as error:
        policy = next(
            kind for kind in (UserMustActError, WaitError, RetryError, SkerryError) if isinstance(error, kind)
        )
        return _Failure(policy, error.reason, str(error))
