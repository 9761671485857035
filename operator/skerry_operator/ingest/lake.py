"""Where the tables are, and how deltalake gets at them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from skerry_core.errors import UserMustActError, WaitError
from skerry_core.store.key_folder import KeyFolder
from skerry_core.store.location import S3Access, open_store
from skerry_core.store.port import Store

TABLES = "tables/"
# An empty object for each table: listing the tables themselves would list all their files.
_NAMES = f"{TABLES}_names/"
# How deltalake's HTTP client learns of an authority of one's own: it has no option for it.
_CA_VARIABLE = "SSL_CERT_FILE"


class LakeUnavailableError(WaitError):
    """A table can't be read or written now."""

    def __init__(self, message: str) -> None:
        super().__init__("LakeUnavailable", message)


@dataclass(frozen=True)
class Lake:
    """The store that holds the tables, below `tables/`, beside what sites upload."""

    uri: str
    access: S3Access | None = None

    @cached_property
    def store(self) -> Store:
        """The same place as a store of objects."""
        return open_store(self.uri, self.access)

    def folder(self, table: str) -> str:
        """The prefix of a table's keys, without a slash at its end."""
        return f"{TABLES}{table}"

    def table_uri(self, table: str) -> str:
        """What deltalake calls a table."""
        return f"{self.store.uri}/{self.folder(table)}"

    def names(self) -> list[str]:
        """The names of all tables; of one that is being made just now, perhaps before it's there."""
        return [info.key.removeprefix(_NAMES) for info in self.store.list(_NAMES)]

    def announce(self, table: str) -> None:
        """Put a table's name on the list, before it's made."""
        self.store.put(f"{_NAMES}{table}", b"")

    def options(self) -> dict[str, str]:
        """What deltalake needs to know of the store; keys in a folder are read anew, so that replaced ones count."""
        if self.access is None:
            return {}
        keys = None if self.access.key_folder is None else KeyFolder(self.access.key_folder).retrieve()
        options = {
            "AWS_ENDPOINT_URL": self.access.endpoint,
            "AWS_REGION": self.access.region,
            "AWS_ACCESS_KEY_ID": keys.access_key if keys else self.access.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key if keys else self.access.secret_key,
            # Commits are PUTs with If-None-Match, of which one wins.
            "AWS_CONDITIONAL_PUT": "etag",
            "AWS_ALLOW_HTTP": str(self.access.endpoint.startswith("http:")).lower(),
        }
        return options | ({"AWS_SESSION_TOKEN": self.access.session_token} if self.access.session_token else {})

    def open(self, table: str, version: int | None = None) -> DeltaTable | None:
        """Read a table's newest snapshot, or that of a version; None if there is no such table."""
        with delta_errors(table):
            try:
                return DeltaTable(self.table_uri(table), version=version, storage_options=self.options())
            except TableNotFoundError:
                return None

    def read(self, table: str) -> pa.Table | None:
        """Read a small table whole; None if there is no such table."""
        opened = self.open(table)
        if opened is None:
            return None
        with delta_errors(table):
            # Not `to_pyarrow_table`: its file system lives in Python, and its threads now and then abort the process's
            # end (https://github.com/delta-io/delta-rs/issues/2184).
            return pa.table(opened.scan())

    def trust_own_authority(self) -> None:
        """Let deltalake trust the store's own authority, if it has one; before the first table is opened."""
        if self.access is not None and self.access.ca_file is not None:
            os.environ[_CA_VARIABLE] = str(self.access.ca_file)


@contextmanager
def delta_errors(table: str) -> Iterator[None]:
    """Turn deltalake's errors into ours, other than those whose meaning the caller knows."""
    try:
        yield
    except (TableNotFoundError, UserMustActError):
        raise
    except (DeltaError, OSError) as error:
        raise LakeUnavailableError(f"the table {table} can't be read or written: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Deltalake draws its errors as trees in colour; the first line is the sentence."""
    return str(error).strip().partition("\n")[0]
