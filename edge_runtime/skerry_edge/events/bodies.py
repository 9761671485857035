"""Bodies of the streams that the inference process itself writes; who, where and when are in the record around."""

import msgspec


class Rollback(msgspec.Struct, frozen=True, omit_defaults=True):
    """A release that this node put aside: a record of the stream `rollbacks`. Numbers are the failed metric's."""

    namespace: str
    model: str
    digest: str
    version: str
    reason: str
    metric: str = ""
    observed: float | None = None
    limit: float | None = None
    message: str = ""


class DriftChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """Columns began or ceased to drift on this node: a record of the stream `drift`; it rolls nothing back.

    `state` is Started, Changed or Ended; `columns` are those that drift now, the first 16 of `drifting`. Numbers are
    those of `worst`, the column furthest beyond its limit: its population stability index and share of nulls.
    """

    namespace: str
    model: str
    digest: str
    version: str
    state: str
    columns: tuple[str, ...] = ()
    drifting: int = 0
    worst: str = ""
    psi: float | None = None
    limit: float | None = None
    nulls: float | None = None
    rows: int = 0
