"""A prediction's tensors in columns: each apart from the others, whatever they are called and whenever they come."""

import json
from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.codec import decode_columns, encode
from skerry_core.batch.contents import Batch, LogName, Row
from skerry_core.lineage.record import TensorRecord
from skerry_operator.ingest.assemble import assemble, new_columns
from skerry_operator.ingest.bodies import BodyPlan
from skerry_operator.ingest.ledger import Span
from skerry_operator.ingest.schema import JSON_MARK, ColumnType, TableColumn
from skerry_operator.ingest.tensors import columns_of
from tests.unit.lake.batches import START

NOW = datetime(2026, 11, 2, tzinfo=UTC)
ONE, OTHER = TensorRecord("FP32", (1, 2), (0.5, None)), TensorRecord("BOOL", (1,), (True,))
DROPPED = TensorRecord("FP32", (2,))  # its data dropped by a rule
MEMBERS = ("datatype", "shape", "data")


def body(inputs, outputs=None):
    return msgspec.json.encode({"model": "har", "inputs": inputs, "outputs": outputs or {}})


class Table:
    """A table that takes batches as commits do: first the columns that they bring."""

    def __init__(self, stream="predictions") -> None:
        self.log = LogName("berlin", "node-1", stream, "e1")
        self.columns: tuple[TableColumn, ...] = ()
        self.rows: dict[int, dict[str, object]] = {}

    def take(self, bodies: dict[int, bytes]) -> None:
        """Take one batch with these bodies, by sequence number."""
        span = Span(min(bodies) - 1, max(bodies))
        rows = tuple(Row(seq, seq, START, START, 0, text) for seq, text in sorted(bodies.items()))
        batch = decode_columns(encode(Batch(self.log, span.after, span.last, rows)).data)
        self.columns += new_columns(batch, self.columns)
        self.table = assemble(batch, [span], self.columns, NOW, lambda: bodies).table
        for row in self.table.to_pylist():
            self.rows[row["seq"]] = {name: value for name, value in row.items() if value is not None}

    def tensor(self, seq, side, name) -> TensorRecord | None:
        """What the row has of the tensor, by the columns that may have it."""
        found = {}
        for member in MEMBERS:
            values = [self.rows[seq].get(column) for column in columns_of((side, name, member))]
            value = next((value for value in values if value is not None), None)
            if value is not None:
                found[member] = value if member == "datatype" else json.loads(value)
        return msgspec.convert(found, TensorRecord) if found else None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x", "X"),
        ("image", "Image"),
        ("IMAGE", "Image"),
        ("in:0", "in_0"),
        ("é", "É"),
        ("a" * 64, "A" * 64),
    ],
)
def test_tensors_of_a_row_that_are_called_alike_are_in_columns_of_their_own(one, other):
    table = Table()
    table.take({1: body({one: ONE, other: OTHER}, {other: ONE, one: DROPPED})})
    assert "set_aside" not in table.rows[1]
    assert len({column.name.lower() for column in table.columns}) == len(table.columns)
    for side, first, second in (("inputs", ONE, OTHER), ("outputs", DROPPED, ONE)):
        assert table.tensor(1, side, one) == first
        assert table.tensor(1, side, other) == second
        assert not {columns_of((side, one, member))[1] for member in MEMBERS} & table.rows[1].keys()


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("x", ["inputs_x_data", "inputs_x_datatype", "inputs_x_shape"]),
        ("X", ["inputs_x_data", "inputs_x_datatype", "inputs_x_shape"]),
        ("in:0", ["inputs_in_0_data", "inputs_in_0_datatype", "inputs_in_0_shape"]),
    ],
)
def test_a_tensor_alone_is_in_the_columns_of_its_plain_name(name, columns):
    table = Table()
    table.take({1: body({name: ONE}), 2: body({"other": OTHER})})
    assert sorted(column for column in table.rows[1] if column.startswith("inputs_")) == columns


NAMES = st.text("xX.:_éÉ", min_size=1, max_size=3)
SIDE = st.dictionaries(NAMES, st.sampled_from([ONE, OTHER, DROPPED]), max_size=4)


@pytest.mark.slow
@given(rows=st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=5), data=st.data())
def test_any_names_in_any_order_and_batches_are_the_same_rows(rows, data):
    bodies = {seq: body(*sides) for seq, sides in enumerate(rows, 1)}
    whole, parted = Table(), Table()
    whole.take(bodies)
    for seq in data.draw(st.permutations(sorted(bodies))):
        inputs, outputs = (dict(data.draw(st.permutations(list(side.items())))) for side in rows[seq - 1])
        parted.take({seq: body(inputs, outputs)})
    assert parted.rows == whole.rows
    assert {column.name: column for column in parted.columns} == {column.name: column for column in whole.columns}
    for seq, sides in enumerate(rows, 1):
        assert "set_aside" not in whole.rows[seq]
        for side, tensors in zip(("inputs", "outputs"), sides, strict=True):
            assert {name: whole.tensor(seq, side, name) for name in tensors} == tensors


def test_what_is_called_like_a_tensor_that_stands_apart_is_set_aside():
    table = Table()
    taken = columns_of(("inputs", "X", "data"))[0].removeprefix("inputs_").removesuffix("_data")
    table.take({1: body({"x": ONE, "X": OTHER, taken: ONE})})
    assert table.rows[1]["set_aside"].endswith("two members have this one name")


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        ("alerts", body({"x": ONE, "X": OTHER})),
        ("predictions", b'{"model": "a", "Model": "b"}'),
        ("predictions", b'{"subject": "a", "Subject": "b"}'),
        ("predictions", b'{"inputs": {"x": {"note": 1}, "X": {"note": 2}}}'),
    ],
)
def test_other_members_that_are_called_alike_are_set_aside(stream, text):
    table = Table(stream)
    table.take({1: text})
    assert table.rows[1]["set_aside"].endswith("two members have this one name")


def test_bodies_are_made_of_whatever_column_has_the_tensor():
    table = Table()
    table.take({1: body({"x": ONE, "X": OTHER}), 2: body({"X": OTHER}), 3: body({"x": DROPPED, "X": DROPPED})})
    marks = {column.name: {JSON_MARK: "true"} for column in table.columns if column.type is ColumnType.JSON}
    schema = pa.schema([field.with_metadata(marks.get(field.name)) for field in table.table.schema])
    plan = BodyPlan.compile(["inputs.x.shape", "inputs.X.shape", "inputs.X.data"], [], schema)
    made = [json.loads(text)["inputs"] for text in plan.bodies(table.table.to_batches()[0])]
    assert made[0] == {"x": {"shape": [1, 2]}, "X": {"shape": [1], "data": [True]}}
    assert made[1]["X"] == {"shape": [1], "data": [True]}
    assert made[2] == {"x": {"shape": [2]}, "X": {"shape": [2]}}
