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
