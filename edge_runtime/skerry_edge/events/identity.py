"""Which log a folder holds: log.json, and how a folder that is no longer the one it was begins another epoch."""

import ctypes
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from skerry_core.durable import fsync_directory, write_file
from skerry_edge.events.segment import header_of, segment_firsts

# More records than a node could write in the 50 ms (and one slow fsync) that a power cut may lose.
POWER_CUT_SKIP = 1 << 20
# Between a stream's name and the epoch in the name of a folder that was set aside; no stream's name has it.
ASIDE = "@"

_NAME = "log.json"
_MAX_JSON = 1 << 16
# Of the segments whose damage is told apart; beyond that, what is found again in the oldest counts again.
_MAX_DAMAGED = 256
_STATX_SIZE, _STATX_BTIME, _AT_FDCWD = 256, 0x800, -100

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Owner:
    """Who writes logs: its site, its node, and its boot (which tells a restart from a power cut)."""

    site: str
    node: str
    boot_id: str


@dataclass(frozen=True)
class LogIdentity:
    """What log.json says. `place` is of the folder that it was made in; `expired` as in LogStatus.

    `opened` is the highest number that was given out, or skipped, before it was last opened; None in an older file.
    `damaged` has the bytes found damaged by the base of their segment, `damaged_gone` those of segments that are gone.
    """

    epoch: str
    site: str
    node: str
    boot_id: str
    place: str
    expired: int = 0
    expired_seq: int = 0
    opened: int | None = None
    damaged: tuple[tuple[int, int], ...] = ()
    damaged_gone: int = 0

    @property
    def damaged_bytes(self) -> int:
        """All that was ever found damaged."""
        return self.damaged_gone + sum(size for _, size in self.damaged)

    def hurt(self, base: int, size: int, there: Sequence[int]) -> "LogIdentity":
        """What it says once `size` bytes of a segment are known to be damaged, of those that are `there`.

        What was found of it before isn't counted again.
        """
        known = dict(self.damaged)
        known[base] = max(size, known.get(base, 0))
        kept = sorted(known.keys() & {*there, base})[-_MAX_DAMAGED:]
        gone = sum(bytes_ for other, bytes_ in known.items() if other not in kept)
        return replace(self, damaged=tuple((each, known[each]) for each in kept), damaged_gone=self.damaged_gone + gone)

    def past(self, records: int, seq: int) -> "LogIdentity":
        """What it says once further `records`, up to number `seq`, are gone for their age."""
        return replace(self, expired=self.expired + records, expired_seq=max(self.expired_seq, seq))


def read_identity(directory: Path) -> LogIdentity | None:
    """A folder's log.json; None if there is none that can be understood. Raises OSError if it can't be read."""
    try:
        with (directory / _NAME).open("rb") as file:
            noted = json.loads(file.read(_MAX_JSON))
        epoch = str(noted["epoch"])
        if len(epoch) != 16 or int(epoch, 16) < 0:  # noqa: PLR2004 - as secrets.token_hex(8) makes it
            return None
        return LogIdentity(
            epoch=epoch,
            site=str(noted["site"]),
            node=str(noted["node"]),
            boot_id=str(noted["bootId"]),
            place=str(noted["place"]),
            expired=int(noted["expired"]),
            expired_seq=int(noted["expiredSeq"]),
            opened=None if noted.get("opened") is None else int(noted["opened"]),
            damaged=tuple((int(base), int(size)) for base, size in noted.get("damaged", ())),
            damaged_gone=int(noted.get("damagedGone", 0)),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_identity(directory: Path, identity: LogIdentity) -> None:
    """Write log.json durably. Raises OSError."""
    noted = asdict(identity)
    noted["bootId"], noted["expiredSeq"] = noted.pop("boot_id"), noted.pop("expired_seq")
    noted["damagedGone"] = noted.pop("damaged_gone")
    write_file(directory / _NAME, json.dumps(noted).encode())


def claim(directory: Path, owner: Owner, fenced: frozenset[str] = frozenset()) -> LogIdentity:
    """Make `directory` this owner's log, and say which one it is; `note_opening` is the caller's to do.

    A log goes on in its epoch only in the folder that it began in: under another site or node name, in a folder that
    was copied or restored, or if its epoch is in `fenced` (the store has more of it than the folder: an older state
    came back), numbers could be given out that already name other records. The folder is then set aside, whole, by one
    rename, as `<stream>@<epoch>`: what it holds can still be uploaded under its own epoch. Where no segment tells of
    the last number, the epoch is new as well. Raises OSError.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    if directory.is_dir() and segment_firsts(directory):
        found = read_identity(directory)
        why = _not_ours(found, directory, owner, fenced)
        if found is not None and not why:
            return found
        epoch = found.epoch if found is not None else _salvage(directory, owner)
        _set_aside(directory, epoch)
        _log.warning("log set aside, a new epoch begins", stream=directory.name, epoch=epoch, why=why)
    directory.mkdir(exist_ok=True)
    fresh = LogIdentity(secrets.token_hex(8), owner.site, owner.node, owner.boot_id, place_of(directory))
    write_identity(directory, fresh)
    fsync_directory(directory.parent)
    return fresh


def read_fence(path: Path) -> Mapping[str, str]:
    """Epochs, by stream, that the store has more of than this node: {"<stream>": {"epoch": …}}, written by sync.

    A file that isn't there, or can't be understood, fences nothing. Raises nothing.
    """
    try:
        with path.open("rb") as file:
            return {str(stream): str(entry["epoch"]) for stream, entry in json.loads(file.read(_MAX_JSON)).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _log.warning("log fence not understood", error=str(error)[:200])
        return {}


def place_of(directory: Path) -> str:
    """What tells a folder from its copy: inode and time of birth; device and inode where no birth is known.

    The device's number is left out if it can be: it changes with the order in which disks are found.
    """
    status = directory.stat()
    birth = _birth_ns(directory)
    return f"{status.st_ino}:{birth}" if birth is not None else f"{status.st_dev}/{status.st_ino}"


def _not_ours(found: LogIdentity | None, directory: Path, owner: Owner, fenced: frozenset[str]) -> str:
    if found is None:
        return "log.json is missing or damaged"
    if (found.site, found.node) != (owner.site, owner.node):
        return f"it is of node {found.node} of site {found.site}"
    if found.place != place_of(directory):
        return "the folder was copied or restored"
    return "the store has more of it" if found.epoch in fenced else ""


def _salvage(directory: Path, owner: Owner) -> str:
    """Write log.json anew from what the segments say, so that what they hold can be read and uploaded."""
    headers = (header_of(directory, base) for base in reversed(segment_firsts(directory)))
    epoch = next((header.epoch for header in headers if header is not None), secrets.token_hex(8))
    write_identity(directory, LogIdentity(epoch, owner.site, owner.node, "", ""))
    return epoch


def _set_aside(directory: Path, epoch: str) -> None:
    target = directory.with_name(f"{directory.name}{ASIDE}{epoch}")
    number = 1
    while target.exists():
        # A copy of a folder that was set aside before; both are kept.
        number += 1
        target = directory.with_name(f"{directory.name}{ASIDE}{epoch}-{number}")
    directory.rename(target)
    fsync_directory(directory.parent)


def rebooted(identity: LogIdentity, owner: Owner) -> bool:
    """Whether the machine went down since the log was last opened, so that its unsynced tail may be gone."""
    return identity.boot_id != owner.boot_id


def note_opening(directory: Path, identity: LogIdentity, owner: Owner, last: int) -> LogIdentity:
    """Durably note that the log has been opened in this boot, behind number `last`. Raises OSError."""
    noted = replace(identity, boot_id=owner.boot_id, opened=last)
    if noted != identity:
        write_identity(directory, noted)
    return noted


def _birth_ns(path: Path) -> int | None:
    """When a file was made (statx(2), stx_btime); None where kernel, libc or file system don't tell."""
    try:
        statx = ctypes.CDLL(None, use_errno=True).statx
    except (OSError, AttributeError):
        return None
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    if statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, buffer) != 0:
        return None
    if not int.from_bytes(buffer.raw[0:4], "little") & _STATX_BTIME:
        return None
    seconds = int.from_bytes(buffer.raw[80:88], "little", signed=True)
    return seconds * 1_000_000_000 + int.from_bytes(buffer.raw[88:92], "little")
