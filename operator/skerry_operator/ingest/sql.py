"""Names, texts and times as SQL has them."""

from skerry_core.micros import rfc3339

# What ingest puts into a table: the years 1 to 9999, and somewhat less.
_FIRST, _LAST = -62_000_000_000_000_000, 253_000_000_000_000_000


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"{}"'.format(name.replace('"', '""'))


def literal(text: str) -> str:
    """A text in SQL."""
    return "'{}'".format(text.replace("'", "''"))


def moment(micros: int) -> str:
    """A time in µs since 1970 in SQL; one that no table holds as the nearest that one can."""
    return f"TIMESTAMPTZ {literal(rfc3339(min(max(micros, _FIRST), _LAST)))}"
