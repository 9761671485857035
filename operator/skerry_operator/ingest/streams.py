"""Which streams ingest takes: sites choose their names, and each becomes a table for good. Pure."""

from collections.abc import Collection, Mapping, Sequence

from skerry_core.sync_policy.defaults import BUILT_IN_STREAMS
from skerry_operator.ingest.plan import Listed


def admitted(
    batches: Mapping[str, Sequence[Listed]], requested: Collection[str], tables: Collection[str], limit: int
) -> list[str]:
    """Those of the listed streams to look at, in the order of their names; `requested` are named by requests alone.

    Streams with a table go on, Skerry's own get theirs, and of new ones as many do as there is room for among `limit`
    tables: those that most sites have first, so that no site's invented names keep out what the others send.
    """

    def rank(stream: str) -> tuple[int, str]:
        return -len({batch.log.site for batch in batches[stream]}), stream

    settled = {stream for stream in {*batches, *requested} if stream in tables or stream in BUILT_IN_STREAMS}
    taken = {stream for stream in tables if stream not in BUILT_IN_STREAMS}
    new = sorted(batches.keys() - settled, key=rank)[: max(limit - len(taken), 0)]
    return sorted({*settled, *new})
