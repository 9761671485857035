"""The form of small batches: JSON Lines, readable by `zstdcat | jq`.

The first line is the header, every other one a row with its `body` as it was logged. A body that is not JSON, or can't
be read as such (see `bodies`), is `bytes` in base64 instead.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from skerry_core.batch.bodies import Bodies, parse
from skerry_core.batch.contents import Absent, AbsentReason, Batch, LogName, Row
from skerry_core.batch.limits import Limits

VERSION = "skerry-batch/1"
_NO_BODY = msgspec.Raw()
_MAX_HLC = 2**64 - 1
_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    first: int
    last: int
    reason: AbsentReason


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    format: str
    site: str
    node: str
    stream: str
    log_epoch: str = msgspec.field(name="logEpoch")
    after: int
    last: int
    rows: int
    absent: tuple[_Range, ...] = ()


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    seq: int
    hlc: Annotated[int, Meta(ge=0)]
    time: _Int64
    received: _Int64
    flags: Annotated[int, Meta(ge=0, lt=1 << 16)] = 0
    body: msgspec.Raw = _NO_BODY
    encoded: bytes | None = msgspec.field(name="bytes", default=None)


_encode = msgspec.json.Encoder().encode
_read_head = msgspec.json.Decoder(_Head).decode
_read_line = msgspec.json.Decoder(_Line).decode


def write(batch: Batch, bodies: Bodies) -> bytes:
    """A batch as JSON Lines; `bodies` are those of its rows, parsed."""
    head = _Head(
        format=VERSION,
        site=batch.log.site,
        node=batch.log.node,
        stream=batch.log.stream,
        log_epoch=batch.log.epoch,
        after=batch.after,
        last=batch.last,
        rows=len(batch.rows),
        absent=tuple(_Range(one.first, one.last, one.reason) for one in batch.absent),
    )
    lines = (_line(row, odd=body is None) for row, body in zip(batch.rows, bodies, strict=True))
    return b"".join(line + b"\n" for line in (_encode(head), *lines))


def _line(row: Row, *, odd: bool) -> bytes:
    body, encoded = _NO_BODY, None
    if odd:
        encoded = row.body
    else:
        # Line ends between tokens are legal in JSON; within strings they are not.
        body = msgspec.Raw(msgspec.json.format(row.body, indent=-1) if b"\n" in row.body else row.body)
    return _encode(_Line(row.seq, row.hlc, row.time, row.received, row.flags, body, encoded))


def read(content: bytes, limits: Limits) -> Batch:
    """The inverse of `write`. ValueError (msgspec's errors are some) or RecursionError for anything else."""
    if content.count(b"\n") > limits.max_rows + 1 or not content.endswith(b"\n"):
        raise ValueError("more rows than the limits allow, or a line cut off")
    first, *lines = content[:-1].split(b"\n")
    head = _read_head(first)
    if head.format != VERSION or head.rows != len(lines):
        raise ValueError("another format, or another number of rows than the header says")
    if len(head.absent) > limits.max_absent:
        raise ValueError("more absent ranges than the limits allow")
    return Batch(
        log=LogName(head.site, head.node, head.stream, head.log_epoch),
        after=head.after,
        last=head.last,
        rows=tuple(map(_row, lines)),
        absent=tuple(Absent(one.first, one.last, one.reason) for one in head.absent),
    )


def _row(text: bytes) -> Row:
    line = _read_line(text)
    if line.hlc > _MAX_HLC:
        raise ValueError("a clock of more than 64 bits")
    body = bytes(line.body)
    if line.encoded is not None:
        if body:
            raise ValueError("a row with both a body and bytes")
        body = line.encoded
    elif parse(body) is None:
        raise ValueError("a row without a body that is an object")
    return Row(line.seq, line.hlc, line.time, line.received, line.flags, body)
