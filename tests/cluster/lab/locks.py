"""One at a time: a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def exclusive(
    path: Path, progress: Callable[[str], None], busy: str, *, seconds: float = 3600, every: float = 0.2
) -> Iterator[None]:
    """Hold the lock at ``path``; while another process does, say ``busy`` once and wait up to ``seconds``.

    The file stays: removing it would let two holders lock two different files of the same name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + seconds
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    progress(f"{busy} (lock {path}); waiting for it")
                    told = True
                if time.monotonic() > deadline:
                    raise DeadlineError(f"{busy}, for over {seconds:.0f} s; its lock is {path}") from None
                time.sleep(every)
        yield
    finally:
        os.close(descriptor)
