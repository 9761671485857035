"""How the story is told: each step in plain words with its time, and a table of what was shown at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

# Seconds that chapters take on two cores with everything built; only the ETA is made of them, and what is built tells
# its own. A chapter that isn't named here takes no time worth telling.
_USUAL = {
    "Kubernetes": 40.0,
    "The platform team": 20.0,
    "1.": 45.0,
    "2.": 65.0,
    "3.": 15.0,
    "4.": 5.0,
    "5.": 100.0,
    "6.": 60.0,
    "7.": 35.0,
    "8.": 35.0,
}


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
    _to_come: dict[str, float] = field(default_factory=lambda: dict(_USUAL))

    def say(self, text: str) -> None:
        """One line, with the time since the beginning."""
        self.console.print(f"[dim]{self._clock()}[/]  {text}")

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """A step; the time that is likely left is told when it begins and when it ends, its own when it ends."""
        self.console.print(f"\n[dim]{self._clock()}[/]  [bold]{title}[/] ({self._left()})")
        begun = time.monotonic()
        yield
        self._to_come = {name: usual for name, usual in self._to_come.items() if not title.startswith(name)}
        self.say(f"[green]done[/] in {time.monotonic() - begun:.1f} s; {self._left()}")

    def show(self, claim: str, held: bool | None, detail: str = "") -> None:  # noqa: FBT001 - reads as it is said
        """Record a claim; one that does not hold ends the story with a non-zero exit, not at once."""
        self.shown.append(Shown(claim, held, detail))
        mark = {True: "[green]held[/]", False: "[red]DID NOT HOLD[/]", None: "[yellow]not shown[/]"}[held]
        self.say(f"{mark}: {claim}" + (f" ({detail})" if detail else ""))

    @property
    def left(self) -> float:
        """Seconds that are likely left."""
        return sum(self._to_come.values())

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

    def _left(self) -> str:
        return f"about {self.left / 60:.0f} min left" if self.left >= 60 else f"about {self.left:.0f} s left"

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        return f"{minutes:02d}:{seconds:02d}"
