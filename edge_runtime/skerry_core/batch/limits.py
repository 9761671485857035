"""What a batch from outside may cost its reader, and the error that says it is not one."""

from dataclasses import dataclass

from skerry_core.errors import UserMustActError


class DamagedBatchError(UserMustActError):
    """These bytes are no batch, or one beyond the reader's limits; reading them again changes nothing."""

    def __init__(self, message: str) -> None:
        super().__init__("DamagedBatch", f"{message}; set the object aside and ask its site to send the range again")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one batch's decoding.

    `max_bytes` is for the decompressed content, and again for all bodies together; `max_values` counts every value of
    every column; `max_depth` counts the nesting of bodies.
    """

    max_bytes: int = 32 << 20
    max_rows: int = 16_384
    max_absent: int = 65_536
    max_columns: int = 1024
    max_values: int = 2 << 20
    max_depth: int = 32


DEFAULT_LIMITS = Limits()
