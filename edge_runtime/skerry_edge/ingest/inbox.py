"""Withdrawals that other nodes of the site told of, on their way from sync to the log of the stream `consent`.

`store/withdrawals.json` is written by sync and read here: the secret by which the site's nodes hash entities, and what
isn't in the log yet. It is bounded on both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from skerry_core.durable import write_file
from skerry_edge.ingest.consent import Relayed

NAME = "withdrawals.json"
# What waits at a time; with classes, far below MAX_BYTES.
MAX_WAITING = 256
_MAX_BYTES = 4 << 20

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Inbox:
    """What the file says."""

    secret: bytes = field(repr=False)
    waiting: tuple[Relayed, ...] = ()


class _Waiting(msgspec.Struct):
    node: str
    incarnation: str
    number: int
    entity: str | None
    classes: list[str]


class _File(msgspec.Struct):
    secret: bytes
    waiting: list[_Waiting]


_decode = msgspec.json.Decoder(_File).decode


def write_inbox(path: Path, secret: bytes, waiting: Sequence[Relayed]) -> None:
    """Replace the file durably. Raises OSError."""
    noted = [
        _Waiting(each.node, each.incarnation, each.number, each.entity, sorted(each.data_classes)) for each in waiting
    ]
    write_file(path, msgspec.json.encode(_File(secret, noted)), mode=0o600)


def read_inbox(path: Path) -> Inbox | None:
    """What the file says now; None if there is none, or none that can be understood. Raises OSError."""
    try:
        with path.open("rb") as file:
            found = _decode(file.read(_MAX_BYTES + 1))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        _log.warning("what other nodes told of consent can't be understood", error=str(error)[:200])
        return None
    return Inbox(
        found.secret,
        tuple(
            Relayed(each.node, each.incarnation, each.number, each.entity, frozenset(each.classes))
            for each in found.waiting
        ),
    )
