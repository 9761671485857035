"""The form of large batches: typed columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.bodies import Bodies
from skerry_core.batch.contents import Absent, AbsentReason, Batch, LogName, check_absent, check_positions, present_runs
from skerry_core.batch.layout import AbsentSpec, Header, OddSpec
from skerry_core.batch.limits import Limits
from skerry_core.batch.nodes import MISSING, Json, Missing, Mixed, Node, Null, Object
from skerry_core.batch.packing import Packer
from skerry_core.batch.shred import Shredder
from skerry_core.batch.unpacking import Unpacker

Int64s = NDArray[np.int64]
_MILLI = 1000
_LOGICAL_BITS = 16  # of a hybrid logical clock, below the physical milliseconds
_REASONS = list(AbsentReason)


@dataclass(frozen=True, slots=True)
class Columns:
    """A batch as arrays; `body` is the tree of the bodies, in which the `odd` rows are missing."""

    log: LogName
    after: int
    last: int
    absent: tuple[Absent, ...]
    seq: Int64s
    hlc: NDArray[np.uint64]
    time: Int64s
    received: Int64s
    flags: NDArray[np.uint16]
    body: Node
    odd: tuple[tuple[int, bytes], ...]


def columns_of(batch: Batch, bodies: Bodies) -> Columns:
    """A batch turned from rows to columns; `bodies` are those of its rows, parsed."""
    odd = tuple((at, row.body) for at, (row, body) in enumerate(zip(batch.rows, bodies, strict=True)) if body is None)
    return Columns(
        log=batch.log,
        after=batch.after,
        last=batch.last,
        absent=batch.absent,
        seq=np.array([row.seq for row in batch.rows], np.int64),
        hlc=np.array([row.hlc for row in batch.rows], np.uint64),
        time=np.array([row.time for row in batch.rows], np.int64),
        received=np.array([row.received for row in batch.rows], np.int64),
        flags=np.array([row.flags for row in batch.rows], np.uint16),
        body=Shredder().node([MISSING if body is None else body for body in bodies]),
        odd=odd,
    )


def pack(columns: Columns) -> list[bytes]:
    """The file's content, in pieces."""
    packer = Packer()
    time = packer.clock(columns.time)
    received = packer.streams.add(columns.received, near=time)
    hlc = packer.streams.add(columns.hlc.view(np.int64) - _physical(columns.received))
    flags = packer.streams.add(columns.flags.astype(np.int64))
    header = Header(
        site=columns.log.site,
        node=columns.log.node,
        stream=columns.log.stream,
        epoch=columns.log.epoch,
        after=columns.after,
        last=columns.last,
        rows=len(columns.seq),
        streams=[],
        time=time,
        received=received,
        hlc=hlc,
        flags=flags,
        body=packer.node(columns.body),
        odd=_odd(packer, columns.odd),
        absent=_absent(packer, columns.after, columns.absent),
    )
    return packer.content(header)


def unpack(content: bytes, limits: Limits) -> Columns:
    """The inverse of `pack`. ValueError or RecursionError for anything that `pack` can't have made."""
    unpacker = Unpacker(content, limits)
    header, streams = unpacker.header, unpacker.streams
    rows = header.rows
    if rows > limits.max_rows:
        raise ValueError("more rows than the limits allow")
    body = unpacker.node(header.body, rows, may_lack=True)
    odd = _read_odd(unpacker, header.odd, rows)
    absent = _read_absent(unpacker, header.after, header.absent, limits)
    unpacker.end()
    check_positions(header.after, header.last)
    check_absent(header.after, header.last, absent)
    runs = np.array(present_runs(header.after, header.last, absent), np.int64).reshape(-1, 2)
    if sum(runs[:, 1].tolist()) != rows:
        raise ValueError("rows that don't fill what is not absent")
    _check_lacking(body, odd)
    received = streams.values(header.received, rows)
    flags = streams.values(header.flags, rows)
    if rows and not 0 <= int(flags.min()) <= int(flags.max()) < 1 << 16:
        raise ValueError("flags of more than 16 bits")
    return Columns(
        log=LogName(header.site, header.node, header.stream, header.epoch),
        after=header.after,
        last=header.last,
        absent=absent,
        seq=_sequence(runs, rows),
        hlc=(streams.values(header.hlc, rows) + _physical(received)).view(np.uint64),
        time=streams.values(header.time, rows),
        received=received,
        flags=flags.astype(np.uint16),
        body=body,
        odd=odd,
    )


def _physical(received: Int64s) -> Int64s:
    """The hybrid logical clock (uint64 as int64) that a clock never ahead of `received` shows."""
    physical: Int64s = received // _MILLI << _LOGICAL_BITS
    return physical


def _sequence(runs: Int64s, rows: int) -> Int64s:
    """Sequence numbers of runs [k, 2] of (first, count)."""
    starts = np.cumsum(runs[:, 1]) - runs[:, 1]
    sequence: Int64s = np.arange(rows, dtype=np.int64) + np.repeat(runs[:, 0] - starts, runs[:, 1])
    return sequence


def _odd(packer: Packer, odd: tuple[tuple[int, bytes], ...]) -> OddSpec | None:
    if not odd:
        return None
    rows = np.array([row for row, _ in odd], np.int64)
    return OddSpec(packer.streams.add(rows), packer.raw([body for _, body in odd]))


def _read_odd(unpacker: Unpacker, spec: OddSpec | None, rows: int) -> tuple[tuple[int, bytes], ...]:
    if spec is None:
        return ()
    lengths = unpacker.lengths(spec.lengths)
    places = unpacker.streams.values(spec.rows, len(lengths))
    if len(places) and not (0 <= int(places[0]) <= int(places[-1]) < rows and (np.diff(places) > 0).all()):
        raise ValueError("odd rows out of order")
    data, ends = unpacker.raw(lengths), np.cumsum(lengths).tolist()
    bodies = (data[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True))
    return tuple(zip(places.tolist(), bodies, strict=True))


def _check_lacking(body: Node, odd: tuple[tuple[int, bytes], ...]) -> None:
    """ValueError unless the tree has an object for every row but the odd ones."""
    match body:
        case Object() | Json():
            lacking: list[int] = []
        case Missing(count=count):
            lacking = list(range(count))
        case Mixed(tags=tags, parts=(Missing(), Object() | Json())):
            lacking = np.flatnonzero(tags == 0).tolist()
        case Null(count=0):
            lacking = []
        case _:
            raise ValueError("bodies that are no objects")
    if lacking != [row for row, _ in odd]:
        raise ValueError("rows without a body")


def _absent(packer: Packer, after: int, absent: tuple[Absent, ...]) -> AbsentSpec | None:
    if not absent:
        return None
    ends = [after, *(one.last for one in absent[:-1])]
    return AbsentSpec(
        gaps=packer.streams.add(np.array([one.first - end for one, end in zip(absent, ends, strict=True)], np.int64)),
        lengths=packer.streams.add(np.array([one.last - one.first for one in absent], np.int64)),
        codes=packer.streams.add(np.array([_REASONS.index(one.reason) for one in absent], np.int64)),
        reasons=[str(reason) for reason in _REASONS],
    )


def _read_absent(unpacker: Unpacker, after: int, spec: AbsentSpec | None, limits: Limits) -> tuple[Absent, ...]:
    if spec is None:
        return ()
    streams, reasons = unpacker.streams, [AbsentReason(reason) for reason in spec.reasons]
    gaps = streams.values(spec.gaps).tolist()
    if len(gaps) > limits.max_absent:
        raise ValueError("more absent ranges than the limits allow")
    lengths, codes = streams.values(spec.lengths, len(gaps)).tolist(), streams.values(spec.codes, len(gaps)).tolist()
    absent, end = [], after
    for gap, length, code in zip(gaps, lengths, codes, strict=True):
        if not 0 <= code < len(reasons):
            raise ValueError("an unknown reason")
        absent.append(Absent(end + gap, end + gap + length, reasons[code]))
        end += gap + length
    return tuple(absent)
