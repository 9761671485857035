"""The application ids of a Delta table, all at once.

deltalake answers for one id at a time and reads the log anew for each: with a log a node that is far too slow. So this
reads them as the protocol lays them down: the newest checkpoint, then each commit's `txn` actions
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Transaction Identifiers", "Checkpoints").
"""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO

import pyarrow.parquet as pq

from skerry_core.errors import UserMustActError
from skerry_core.store.errors import ObjectMissingError
from skerry_core.store.port import Store, read_object

_MAX_COMMIT_BYTES = 1 << 28
_MAX_CHECKPOINT_BYTES = 1 << 31
_CHECKPOINT = re.compile(r"([0-9]{20})\.checkpoint(?:\.([0-9]{10})\.([0-9]{10}))?\.parquet")


@dataclass(frozen=True, slots=True)
class Transactions:
    """The last version of each application id as of a version of the table."""

    version: int = -1
    by_id: dict[str, int] = field(default_factory=dict)


def read_transactions(store: Store, folder: str, version: int, known: Transactions | None = None) -> Transactions:
    """Read them as of a version; `known` ones of an older version save reading what they say."""
    if known is not None and known.version == version:
        return known
    if known is not None and known.version < version:
        try:
            return _followed(store, folder, known, version)
        except ObjectMissingError:
            pass  # commits this old were cleaned up: a checkpoint has what they said
    try:
        return _followed(store, folder, _checkpoint(store, folder, version), version)
    except ObjectMissingError as error:
        raise UserMustActError(
            "TableUnreadable",
            f"{store.uri}/{folder}: version {version} has neither all its commits nor a classic checkpoint ({error}); "
            "write a checkpoint with a tool that makes classic ones, or put the table's folder back from a copy",
        ) from error


def version_at(store: Store, folder: str, newest: int, moment: datetime) -> int:
    """The last version that was committed up to a moment, by the clocks of who committed; -1 if there was none.

    Commits that were cleaned up count as older: the log must be kept for longer than anybody looks back.
    """
    low, high = -1, newest
    while low < high:
        middle = (low + high + 1) // 2
        if _committed_by(store, folder, middle, moment):
            low = middle
        else:
            high = middle - 1
    return low


def _committed_by(store: Store, folder: str, version: int, moment: datetime) -> bool:
    try:
        data = read_object(store, f"{folder}/_delta_log/{version:020d}.json", _MAX_COMMIT_BYTES)
    except ObjectMissingError:
        return True
    line = next((line for line in data.splitlines() if line.startswith(b'{"commitInfo"')), None)
    # A commit of another tool may say no time: what isn't known to be old is new.
    at = json.loads(line)["commitInfo"].get("timestamp") if line else None
    return isinstance(at, int) and at <= moment.timestamp() * 1000


def _followed(store: Store, folder: str, start: Transactions, version: int) -> Transactions:
    by_id = dict(start.by_id)
    for commit in range(start.version + 1, version + 1):
        data = read_object(store, f"{folder}/_delta_log/{commit:020d}.json", _MAX_COMMIT_BYTES)
        for line in data.splitlines():
            if line.startswith(b'{"txn"'):
                action = json.loads(line)["txn"]
                by_id[action["appId"]] = action["version"]
    return Transactions(version, by_id)


def _checkpoint(store: Store, folder: str, version: int) -> Transactions:
    """The newest whole checkpoint that is not newer than a version; an empty start if there is none."""
    parts: dict[int, dict[int, str]] = {}
    counts: dict[int, int] = {}
    for info in store.list(f"{folder}/_delta_log/"):
        match = _CHECKPOINT.fullmatch(info.key.rpartition("/")[2])
        if match and int(match[1]) <= version:
            parts.setdefault(int(match[1]), {})[int(match[2] or 1)] = info.key
            counts[int(match[1])] = int(match[3] or 1)
    whole = [at for at, found in parts.items() if len(found) == counts[at]]
    if not whole:
        return Transactions()
    newest = max(whole)
    by_id: dict[str, int] = {}
    for key in parts[newest].values():
        data = read_object(store, key, _MAX_CHECKPOINT_BYTES)
        for action in pq.read_table(BytesIO(data), columns=["txn"])["txn"].drop_null().to_pylist():
            by_id[action["appId"]] = action["version"]
    return Transactions(newest, by_id)
