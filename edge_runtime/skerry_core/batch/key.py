"""Names of batches and of resend requests in the store, below the site's own prefix `sites/<site>/`.

Positions have twenty digits, so that keys sort as the numbers do. Each upload has a mark of its own in its key, so that
nobody who removes one removes another, however late.
"""

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from skerry_core.batch.contents import MAX_SEQ, LogName


class Format(StrEnum):
    """A batch's form: JSON Lines for small ones, typed columns for large ones; either inside one zstd frame."""

    JSONL = "jsonl"
    COLUMNS = "columns"


@dataclass(frozen=True, slots=True)
class BatchName:
    """What a batch's key says of it: the rows of `log` in (`after`, `last`]."""

    log: LogName
    after: int
    last: int
    format: Format


@dataclass(frozen=True, slots=True)
class Resend:
    """The hub's request to upload `first` to `last` of a log again."""

    log: LogName
    first: int
    last: int


_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}"
_LOG = rf"(?P<node>{_NAME})/(?P<stream>{_NAME})/(?P<epoch>{_NAME})"
_MARK_BYTES = 4
_MARK = rf"\.[0-9a-f]{{{2 * _MARK_BYTES}}}"
_BATCH = re.compile(
    rf"events/{_LOG}/(?P<start>[0-9]{{20}})-(?P<end>[0-9]{{20}})(?:{_MARK})?\.(?P<format>jsonl|columns)\.zst"
)
_RESEND = re.compile(rf"resend/{_LOG}/(?P<start>[0-9]{{20}})-(?P<end>[0-9]{{20}})")
_VALID = re.compile(_NAME)


def log_prefix(log: LogName) -> str:
    """What the keys of all of a log's batches begin with. ValueError if a name of the log can't be part of a key."""
    return f"events/{_folder(log)}/"


def upload_mark() -> str:
    """What tells one upload from all others, before and after it."""
    return secrets.token_hex(_MARK_BYTES)


def batch_key(log: LogName, after: int, last: int, form: Format, mark: str) -> str:
    """Key of one upload of the batch of `log` for (after, last]; `mark` is its own (`upload_mark`).

    ValueError if a name of the log can't be part of a key.
    """
    return f"{log_prefix(log)}{after:020d}-{last:020d}.{mark}.{form}.zst"


def parse_key(site: str, key: str) -> BatchName | None:
    """What a key below the prefix of `site` says, if it is one that `batch_key` makes, or that older sites made."""
    match = _BATCH.fullmatch(key)
    if match is None:
        return None
    after, last = int(match["start"]), int(match["end"])
    return BatchName(_log(site, match), after, last, Format(match["format"])) if after <= last <= MAX_SEQ else None


def resend_key(log: LogName, first: int, last: int) -> str:
    """Key of the empty object by which the hub asks for `first` to `last` again."""
    return f"resend/{_folder(log)}/{first:020d}-{last:020d}"


def parse_resend_key(site: str, key: str) -> Resend | None:
    """What a key below the prefix of `site` asks for, if it is one that `resend_key` makes."""
    match = _RESEND.fullmatch(key)
    if match is None:
        return None
    first, last = int(match["start"]), int(match["end"])
    return Resend(_log(site, match), first, last) if first <= last <= MAX_SEQ else None


def _folder(log: LogName) -> str:
    for name in (log.node, log.stream, log.epoch):
        if not _VALID.fullmatch(name):
            raise ValueError(f"{name!r} can't be part of a key")
    return f"{log.node}/{log.stream}/{log.epoch}"


def _log(site: str, match: re.Match[str]) -> LogName:
    return LogName(site, match["node"], match["stream"], match["epoch"])
