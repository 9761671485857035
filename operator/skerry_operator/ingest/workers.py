"""Who does a commit's shares: this process, or Dask's workers (see `dask_workers`)."""

from collections.abc import Sequence
from typing import Protocol

from skerry_operator.ingest.part import Part, PartResult, work


class Workers(Protocol):
    """Does shares of work in any order, side by side or not."""

    def shares(self) -> int:
        """How many shares can be done at once."""
        ...

    def work(self, parts: Sequence[Part]) -> list[PartResult]:
        """Do them all; raises the store's errors, and WaitError if the workers can't be had."""
        ...


class ThisProcess:
    """One share after the other, here."""

    def shares(self) -> int:
        return 1

    def work(self, parts: Sequence[Part]) -> list[PartResult]:
        return [work(part) for part in parts]
