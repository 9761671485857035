"""The hub's tables for commands that read them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skerry_core.errors import UserMustActError
from skerry_core.store.location import S3Access

if TYPE_CHECKING:
    from skerry_operator.ingest.lake import Lake
    from skerry_operator.ingest.query import LakeQuery


@contextmanager
def opened_lake(store: str, access: S3Access | None) -> Iterator[tuple["Lake", "LakeQuery"]]:
    """The tables in the store at this address, and what asks them; UserMustActError `ExtraMissing` without DuckDB."""
    try:
        # DuckDB and Arrow are an extra: large, and nothing else here needs them.
        from skerry_operator.ingest.lake import Lake  # noqa: PLC0415
        from skerry_operator.ingest.query import opened  # noqa: PLC0415
    except ImportError as error:
        raise UserMustActError(
            "ExtraMissing", f"{error.name} is not installed, which queries need: pip install 'skerry[ingest]'"
        ) from error
    lake = Lake(store, access)
    with opened(lake) as query:
        yield lake, query
