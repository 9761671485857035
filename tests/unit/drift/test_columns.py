"""Which columns a model has, and where their numbers are taken from."""

import numpy as np
import pytest

from skerry_core.bundle.manifest import DataType, Decision, DecisionKind, TensorSpec
from skerry_core.drift.columns import MAX_COLUMNS, Measure, extract, sources_of
from skerry_core.features.definition import FeatureInput, FeatureSetRef

ARGMAX = Decision(kind=DecisionKind.ARGMAX, output="scores")
SET = FeatureSetRef(namespace="team", name="press", version="1.0.0", digest="sha256:" + "0" * 64)


def spec(name, *shape):
    return TensorSpec(name=name, datatype=DataType.FP32, shape=shape)


@pytest.mark.parametrize(
    ("inputs", "outputs", "names"),
    [
        ([spec("x", -1, 2)], [spec("scores", -1, 2)], ["x[0]", "x[1]", "scores[0]", "scores[1]", "scores[argmax]"]),
        ([spec("x", -1)], [spec("scores", -1)], ["x", "scores"]),
        ([spec("x")], [spec("scores", 4)], ["x", "scores"]),
        ([spec("x", 1, 2, 2)], [spec("y", -1)], ["x[0]", "x[1]", "x[2]", "x[3]", "y"]),
        ([spec("x", -1, 3, 224, 224)], [spec("y", -1)], ["x[mean]", "x[deviation]", "y"]),
        ([spec("x", -1, -1)], [spec("y", -1)], ["x[mean]", "x[deviation]", "y"]),
        ([spec("x", -1, 33)], [spec("y", -1)], ["x[mean]", "x[deviation]", "y"]),
    ],
)
def test_names(inputs, outputs, names):
    assert [source.name for source in sources_of(inputs, outputs, ARGMAX)] == names


def test_elements_are_named_after_their_features():
    binding = FeatureInput(input="x", feature_set=SET, features=("rms", "peak"))
    sources = sources_of([spec("x", -1, 2)], [spec("y", -1)], ARGMAX, [binding])
    assert [source.name for source in sources] == ["x[rms]", "x[peak]", "y"]
    vector = sources_of([spec("x", -1, 3)], [spec("y", -1)], ARGMAX, [binding])
    assert [source.name for source in vector] == ["x[0]", "x[1]", "x[2]", "y"]


def test_features_that_are_given_twice_are_told_by_their_places():
    binding = FeatureInput(input="x", feature_set=SET, features=("rms", "rms"))
    assert [source.name for source in sources_of([spec("x", -1, 2)], [], ARGMAX, [binding])] == ["x[0]", "x[1]"]


def test_names_that_are_cut_off_stay_apart():
    sources = sources_of([spec("x" * 200 + "a", -1), spec("x" * 200 + "b", -1)], [spec("y", -1)], ARGMAX)
    assert [source.name for source in sources] == ["x" * 96, "column[1]", "y"]


@pytest.mark.parametrize("width", [1, 7, 32])
@pytest.mark.parametrize("tensors", [1, 9, 30])
def test_every_tensor_is_told_and_there_are_not_too_many(tensors, width):
    inputs = [spec(f"x{number}", -1, width) for number in range(tensors)]
    outputs = [spec(f"y{number}", -1, width) for number in range(tensors - 1)] + [spec("scores", -1, width)]
    sources = sources_of(inputs, outputs, ARGMAX)
    assert len(sources) <= MAX_COLUMNS
    assert {source.tensor for source in sources} == {each.name for each in inputs + outputs}
    assert sources[-1].measure is Measure.ARGMAX
    assert len({source.name for source in sources}) == len(sources)


def test_numbers_are_those_of_the_tensors():
    wide = np.arange(80, dtype=np.float32).reshape(2, 40)
    inputs = {"x": np.array([[1, 2], [3, 4]], np.int32), "wide": wide}
    outputs = {"scores": np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)}
    sources = sources_of([spec("x", -1, 2), spec("wide", -1, 40)], [spec("scores", -1, 2)], ARGMAX)
    found = {
        source.name: column.tolist() for source, column in zip(sources, extract(sources, inputs, outputs), strict=True)
    }
    assert found["x[1]"] == [2, 4]
    assert found["wide[mean]"] == wide.mean(axis=1).tolist()
    assert found["wide[deviation]"] == pytest.approx(wide.std(axis=1))
    assert found["scores[argmax]"] == [1, 0]


@pytest.mark.parametrize("tensor", [np.empty((0, 2)), np.empty((3, 0)), np.float32(4), np.array([[5.0]])])
def test_tensors_of_another_form_cost_nothing(tensor):
    sources = sources_of([spec("x", -1, 2)], [spec("scores", -1, 2)], ARGMAX)
    for columns in (extract(sources, {"x": tensor}, {}), extract(sources, {}, {})):
        assert all(column.ndim == 1 for column in columns)
        assert not len(columns[1])
