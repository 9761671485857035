"""A share of a build: some rows, and the part of the history that they need. The same here and on a Dask worker."""

import gc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.plan import compile_set
from skerry_operator.ingest.bodies import BODY, SET_ASIDE, BodyPlan
from skerry_operator.training.bodies import body_plan
from skerry_operator.training.consent import Consents
from skerry_operator.training.history import Stretch, Tables, events, history_schema, opened
from skerry_operator.training.replay import Chunk, Vectors, replay
from skerry_operator.training.rows import EntityRows, Int64s, Node


@dataclass(frozen=True)
class Share:
    """`first` to `last` is when the events were received that any row of the whole build needs, in µs.

    `consents` None: nobody's consent is needed.
    """

    tables: Tables
    document: bytes
    names: tuple[str, ...]
    rows: EntityRows
    consents: Consents | None
    first: int
    last: int


def work(share: Share) -> Vectors:
    """Read the history and replay it. UserMustActError for what is wrong with it; raises the store's errors."""
    document = FeatureSetDocument.model_validate_json(share.document)
    plan = compile_set(document)
    with opened(share.tables) as questions, _uncollected():
        schema = history_schema(questions, document.stream)
        bodies = body_plan(document, schema)
        whom = [name for name in ("subject", "source") if name in schema.names and share.consents is not None]
        stretch = Stretch(
            stream=document.stream,
            columns=tuple(dict.fromkeys([*bodies.columns, *whom])),
            nodes=sorted(set(share.rows.nodes)),
            first=share.first,
            last=share.last,
            by_log=share.rows.epochs is not None,
        )
        chunks = (
            chunk for batch in events(questions, schema, stretch) for chunk in _chunks(batch, bodies, share.consents)
        )
        return replay(plan, share.names, share.rows, chunks)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for cycles: what is made here has none, and looking through it took a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def shares(rows: EntityRows, count: int) -> list[Int64s]:
    """Divide rows by their nodes, or where there are few nodes by entity, into at most so many shares."""
    nodes = sorted(set(rows.nodes))
    by_node = len(nodes) >= 4 * count
    names = {node: "\0".join(node).encode() for node in nodes}
    place = np.array(
        [
            zlib.crc32(names[node] if by_node else names[node] + key) % count
            for node, key in zip(rows.nodes, rows.keys, strict=True)
        ],
        np.int64,
    )
    parts = (np.flatnonzero(place == number) for number in range(count))
    return [part for part in parts if len(part)]


def _chunks(batch: pa.RecordBatch, plan: BodyPlan, consents: Consents | None) -> Iterator[Chunk]:
    """A batch by nodes, which are in it one after the other."""
    sites, nodes = batch.column("site").to_pylist(), batch.column("node").to_pylist()
    cuts = [0]
    if batch.num_rows and (sites[0], nodes[0]) != (sites[-1], nodes[-1]):
        pairs = list(zip(sites, nodes, strict=True))
        cuts += [row for row in range(1, len(pairs)) if pairs[row] != pairs[row - 1]]
    for start, stop in zip(cuts, [*cuts[1:], batch.num_rows], strict=True):
        if start < stop:
            yield _chunk(batch.slice(start, stop - start), (sites[start], nodes[start]), plan, consents)


def _chunk(batch: pa.RecordBatch, node: Node, plan: BodyPlan, consents: Consents | None) -> Chunk:
    covered = None
    if consents is not None:
        times = batch.column("hlc").to_pylist()
        covered = np.array(
            [consents.covers(node, whom, hlc) for whom, hlc in zip(_subjects(batch), times, strict=True)], np.bool_
        )
    return Chunk(
        node=node,
        bodies=plan.bodies(batch),
        time=_integers(batch, "_time"),
        received=_integers(batch, "_received"),
        seq=_integers(batch, "seq"),
        epochs=batch.column("epoch").to_pylist(),
        covered=covered,
    )


def _integers(batch: pa.RecordBatch, name: str) -> Int64s:
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), np.int64)


def _subjects(batch: pa.RecordBatch) -> Iterator[str | None]:
    """Whom each event is about: CloudEvents' `subject`, else its `source`."""
    columns = [
        batch.column(name).to_pylist() if name in batch.schema.names else [None] * batch.num_rows
        for name in ("subject", "source", SET_ASIDE, BODY)
    ]
    for subject, source, aside, body in zip(*columns, strict=True):
        yield _from_body(body) if aside is not None else subject or source


def _from_body(body: str | None) -> str | None:
    try:
        found = msgspec.json.decode(body or "")
    except (ValueError, RecursionError):
        return None
    values = (found.get(name) for name in ("subject", "source")) if isinstance(found, dict) else ()
    return next((value for value in values if isinstance(value, str) and value), None)
