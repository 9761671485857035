"""How the story is told: each step in plain words with its time, and a table of what was shown at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

# Seconds a warm run takes up to each chapter's end on two cores; only the ETA is made of it.
_USUAL_TOTAL = 420.0


@dataclass(frozen=True)
class Shown:
    """One line of the closing table. `held` None: could not be shown here, `detail` says why."""

    claim: str
    held: bool | None
    detail: str = ""


@dataclass
class Narrator:
    """Tells the story on a console and collects what was shown."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    shown: list[Shown] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """One line, with the time since the beginning."""
        self.console.print(f"[dim]{self._clock()}[/]  {text}")

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """A step; its time is told when it ends, and the time that is likely left."""
        self.console.print(f"\n[dim]{self._clock()}[/]  [bold]{title}[/]")
        begun = time.monotonic()
        yield
        left = max(0.0, _USUAL_TOTAL - (time.monotonic() - self.started))
        self.say(f"[green]done[/] in {time.monotonic() - begun:.1f} s; about {left / 60:.0f} min left")

    def show(self, claim: str, held: bool | None, detail: str = "") -> None:  # noqa: FBT001 - reads as it is said
        """Record a claim; one that does not hold ends the story with a non-zero exit, not at once."""
        self.shown.append(Shown(claim, held, detail))
        mark = {True: "[green]held[/]", False: "[red]DID NOT HOLD[/]", None: "[yellow]not shown[/]"}[held]
        self.say(f"{mark}: {claim}" + (f" ({detail})" if detail else ""))

    @property
    def all_held(self) -> bool:
        return all(row.held is not False for row in self.shown)

    def close(self) -> None:
        """Print the table of everything that was shown."""
        table = Table(title="What was shown", show_lines=False)
        table.add_column("claim")
        table.add_column("held")
        table.add_column("detail")
        for row in self.shown:
            mark = {True: "[green]yes[/]", False: "[red]NO[/]", None: "[yellow]not shown[/]"}[row.held]
            table.add_row(row.claim, mark, row.detail)
        self.console.print(table)
        self.console.print(f"{self._clock()} in all; {'everything held' if self.all_held else 'NOT everything held'}")

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        return f"{minutes:02d}:{seconds:02d}"
