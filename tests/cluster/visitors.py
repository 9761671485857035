"""The processes of one test run that use one lab."""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.lab.locks import exclusive


@dataclass(frozen=True)
class Visitors:
    """How many of them are there, and whether the first found the lab up: in a file that they share."""

    path: Path

    def enter(self, *, is_up: bool) -> None:
        """Be counted; `is_up` is whether the lab is up before this one asks for it."""
        with self._alone():
            count, was_up = self._read() or (0, is_up)
            self._write(count + 1, was_up=was_up)

    def leave(self) -> bool:
        """Be counted out; whether the lab is to be taken down, as the last one leaves and the first had to start it."""
        with self._alone():
            count, was_up = self._read() or (1, True)
            self._write(count - 1, was_up=was_up)
            return count == 1 and not was_up

    def _alone(self) -> AbstractContextManager[None]:
        return exclusive(self.path.with_suffix(".lock"), lambda _: None, "others enter or leave")

    def _read(self) -> tuple[int, bool] | None:
        if not self.path.exists():
            return None
        count, was_up = json.loads(self.path.read_text())
        return count, was_up

    def _write(self, count: int, *, was_up: bool) -> None:
        self.path.write_text(json.dumps([count, was_up]))
