import numpy as np
import pytest

from skerry_core.errors import UserMustActError
from skerry_core.features.read import read
from skerry_core.features.vector import vector, width
from tests.unit.features.sets import KEY, SECOND, T0, event, feature, plan, run

PLAN = plan(
    [
        feature("last", "Last"),
        feature("histogram", "Histogram", buckets=[2.0]),
        feature("v", "EmbeddingLast", "v", length=3, default=-1.0),
        feature("strict", "Last", "cycles", onStale="Reject", default=7.0),
        feature("again", "Last", "cycles", onStale="Recompute", default=8.0),
        feature("again_bare", "Last", "cycles", onStale="Recompute", default=None),
        feature("bare", "Last", "cycles", default=None),
    ]
)


def row(names, age=0, **data):
    states = {}
    run(PLAN, [event(data)], states)
    return vector(PLAN, read(PLAN, states[KEY], T0 + age), names)


def test_columns_are_in_the_order_of_names():
    found = row(["histogram", "v", "last"], rms=3.0, v=[1, 2, 3])
    assert found.values.tolist() == [0.0, 1.0, 1.0, 2.0, 3.0, 3.0]
    assert found.values.dtype == np.float64
    assert (found.defaulted, found.rejected) == ((), ())
    assert width(PLAN, ["histogram", "v", "last"]) == 6


def test_what_is_stale():
    found = row(["strict", "v", "again", "bare"], rms=3.0)
    assert found.values[:-1].tolist() == [7.0, -1.0, -1.0, -1.0, 8.0]
    assert np.isnan(found.values[-1])
    assert (found.defaulted, found.rejected) == (("v", "again"), ("strict", "bare"))


@pytest.mark.parametrize(
    ("names", "data", "recompute", "rejected"),
    [
        (["again", "again_bare"], {"cycles": 3}, (), ()),
        (["again", "last"], {"rms": 3.0}, ("again",), ()),
        (["again", "again_bare"], {"rms": 3.0}, ("again", "again_bare"), ("again_bare",)),
        (["last", "strict", "bare"], {}, (), ("strict", "bare")),
    ],
)
def test_what_is_to_be_read_once_more(names, data, recompute, rejected):
    found = row(names, **data)
    assert (found.recompute, found.rejected) == (recompute, rejected)


def test_a_value_that_is_too_old_is_not_taken():
    assert row(["last"], age=3601 * SECOND, rms=3.0).defaulted == ("last",)


def test_a_name_that_is_not_in_the_set():
    with pytest.raises(UserMustActError, match="has no speed"):
        row(["speed"], rms=3.0)
