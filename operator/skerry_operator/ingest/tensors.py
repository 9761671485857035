"""Which columns a prediction's tensors are in. No I/O.

A tensor is in the columns that its name gives (`skerry_operator.ingest.schema`): the data of `Image` in
`inputs_image_data`. Delta and DuckDB know no case, so `image` would share them. Where one row has both, each is in
columns of its own instead, which the exact name gives (`inputs_image_1aa4cb0b_data`). That is told from the row alone,
so it never matters what came before; and where the shared columns have a value, the row has one such tensor.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.columnar import Column
from skerry_operator.ingest.schema import column_name

_TENSOR = re.compile(r"(inputs|outputs)_(.+)_(datatype|shape|data)")
_MEMBERS = ("datatype", "shape", "data")
_DIGEST_CHARACTERS = 8


def is_tensor(path: tuple[str, ...]) -> bool:
    """Whether it is what a prediction's record says of a tensor."""
    match path:
        case ("inputs" | "outputs", _, member):
            return member in _MEMBERS
    return False


def parse_column(column: str) -> tuple[str, str, str] | None:
    """The side of a tensor's column, the tensor's name there, and the member; None for other columns."""
    found = _TENSOR.fullmatch(column)
    return None if found is None else (found[1], found[2], found[3])


def shared_name(tensor: str) -> str:
    """A tensor's name in columns, which others that differ in case have, too."""
    return column_name(("inputs", tensor)).removeprefix("inputs_")


def own_name(tensor: str) -> str:
    """Its name in columns where one row has others of that shared name."""
    digest = hashlib.sha256(tensor.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{shared_name(tensor)}_{digest[:_DIGEST_CHARACTERS]}"


def columns_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that may have a body's member; where the first has a value, it is this member's for certain."""
    if not is_tensor(path):
        return (column_name(path),)
    side, tensor, member = path
    return column_name((side, own_name(tensor), member)), column_name(path)


def placed(members: Sequence[Column], rows: int) -> list[tuple[str, Column]]:
    """The members of predictions' bodies by the columns that they are in; one may be in two, each for some rows."""
    tensors: dict[str, dict[str, list[Column]]] = defaultdict(lambda: defaultdict(list))
    for member in members:
        if is_tensor(member.path):
            tensors[column_name(member.path[:2])][member.path[1]].append(member)
    apart = {name: _several(alike.values(), rows) for name, alike in tensors.items() if len(alike) > 1}
    found: list[tuple[str, Column]] = []
    for member in members:
        own = apart.get(column_name(member.path[:2])) if is_tensor(member.path) else None
        found += [(column_name(member.path), member)] if own is None else _divided(member, own)
    return found


def _several(tensors: Iterable[Sequence[Column]], rows: int) -> NDArray[np.bool_]:
    """The rows that have more than one of these tensors."""
    count = np.zeros(rows, np.int64)
    for members in tensors:
        count += np.logical_or.reduce([_there(member, rows) for member in members])
    return count > 1


def _divided(member: Column, own: NDArray[np.bool_]) -> Iterator[tuple[str, Column]]:
    there = _there(member, len(own))
    for name, rows in zip(columns_of(member.path), (there & own, there & ~own), strict=True):
        if rows.any():
            yield name, replace(member, valid=rows)


def _there(member: Column, rows: int) -> NDArray[np.bool_]:
    return np.ones(rows, np.bool_) if member.valid is None else member.valid
