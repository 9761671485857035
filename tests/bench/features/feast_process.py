"""Feast in a venv of its own, which is made once, and a process in it that answers."""

# ruff: noqa: T201 - people wait for it

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VERSION = "0.67.0"
_VENV = Path("build/bench/feast")
_SCRIPT = Path(__file__).with_name("feast_store.py")


class Feast:
    """One store; orders go in as lines, answers come back as lines."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, order: str, given: Any) -> Any:
        """See feast_store."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({order: given}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def running(folder: Path, features: Sequence[str]) -> Iterator[Feast]:
    """A store in a folder, by a process on this one's core."""
    folder.mkdir()
    command = [str(_python()), str(_SCRIPT.resolve()), str(folder.resolve()), *features]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Feast(process)
        assert process.stdin is not None
        process.stdin.close()


def _python() -> Path:
    python = _VENV / "bin" / "python"
    done = _VENV / VERSION
    if not done.exists():
        print(f"Feast {VERSION} is installed into {_VENV}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"feast=={VERSION}"], check=True)
        done.touch()
    return python
