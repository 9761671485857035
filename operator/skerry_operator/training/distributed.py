"""The shares of a build on the workers of a Dask cluster, by the same code as here."""

from collections.abc import Sequence

from skerry_operator.ingest.dask_workers import DaskWorkers
from skerry_operator.training.replay import Vectors
from skerry_operator.training.work import Share, work

# Rather more shares than workers, so that one with many events keeps no others waiting.
_SHARES_A_WORKER = 4
_LONGEST_SECONDS = 24 * 3600.0


class DaskShares:
    """Does shares on a cluster; what a worker that dies had is done again by others."""

    def __init__(self, scheduler: str) -> None:
        """Ask the scheduler (`tcp://HOST:PORT`) for its workers. WaitError DaskUnavailable."""
        self._workers = DaskWorkers(scheduler)
        self.at_once = self._workers.shares() * _SHARES_A_WORKER

    def __call__(self, shares: Sequence[Share]) -> list[Vectors]:
        return self._workers.run(work, shares, _LONGEST_SECONDS)

    def close(self) -> None:
        """Leave the cluster."""
        self._workers.close()
