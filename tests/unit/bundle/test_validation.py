import numpy as np
import pytest
from onnx import helper

from skerry_core.bundle.inspection import ModelUnsupportedError, inspect_model
from skerry_core.bundle.manifest import Decision, DecisionKind
from skerry_core.bundle.validation import Measured, ValidationDataError, check_same_interface, measure, open_session
from tests.unit.bundle.models import FEATURES, classifier, linear

ARGMAX = Decision(kind=DecisionKind.ARGMAX, output="scores")


def one_hot(classes):
    return np.eye(FEATURES, dtype=np.float32)[classes]


def measured(baseline, model, features, decision=ARGMAX):
    inputs = inspect_model(model).inputs
    return measure(decision, inputs, baseline, model, {"features": features})


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 1000])
def test_counts_disagreements_over_all_batches(rows):
    classes = np.arange(rows) % 3
    features = one_hot(classes)
    features[:, 3] = 2  # what the favouring model goes by
    found = measured(classifier(), classifier(favoured=1), features)
    assert found == Measured(rows, int(np.count_nonzero(classes != 1)), 0)


def test_a_model_agrees_with_itself():
    features = np.random.default_rng(1).normal(size=(300, FEATURES)).astype(np.float32)
    assert measured(classifier(), classifier(), features) == Measured(300, 0, 0)


def test_rows_without_a_finite_answer_are_left_out_and_counted():
    roots = linear(np.eye(FEATURES, 3), node=helper.make_node("Sqrt", ["scores_in"], ["scores"]))
    features = one_hot(np.arange(6) % 3)
    features[4, 0] = -1
    found = measured(classifier(), roots, features)
    assert found == Measured(5, 0, 1)


def test_a_fixed_batch_is_kept():
    features = one_hot(np.arange(8) % 3)
    assert measured(classifier(batch=4), classifier(batch=4), features).rows == 8
    with pytest.raises(ValidationDataError, match="4 rows at a time"):
        measured(classifier(batch=4), classifier(batch=4), features[:7])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "model's inputs are"),
        ({"other": np.zeros((2, 4), np.float32)}, "model's inputs are"),
        ({"features": np.zeros((2, 4), np.float64)}, "is float64, the model takes float32"),
        ({"features": np.zeros((2, 5), np.float32)}, r"is \[2, 5\], the model takes \[-1, 4\]"),
        ({"features": np.zeros(4, np.float32)}, r"is \[4\], the model takes"),
        ({"features": np.zeros((0, 4), np.float32)}, "at least one"),
        ({"features": np.float32(1)}, "at least one"),
    ],
)
def test_data_that_does_not_fit_is_refused(data, message):
    with pytest.raises(ValidationDataError, match=message):
        measure(ARGMAX, inspect_model(classifier()).inputs, classifier(), classifier(), data)


def test_a_model_that_answers_other_rows_than_it_was_asked_is_refused():
    transposed = linear(np.eye(FEATURES, 3), node=helper.make_node("Transpose", ["scores_in"], ["scores"]))
    with pytest.raises((ValidationDataError, ModelUnsupportedError)):
        measured(classifier(), transposed, one_hot(np.arange(5) % 3))


def test_models_with_other_interfaces_can_not_be_compared():
    check_same_interface(inspect_model(classifier()), inspect_model(classifier(favoured=2)))
    with pytest.raises(ModelUnsupportedError, match="inputs differ from the baseline's"):
        check_same_interface(inspect_model(classifier()), inspect_model(classifier(batch=4)))


def test_a_model_that_the_runtime_can_not_load_is_refused():
    unknown = linear(np.eye(4, 3), node=helper.make_node("NoSuchOperator", ["scores_in"], ["scores"], domain="x"))
    with pytest.raises(ModelUnsupportedError, match="can't load the model"):
        open_session(unknown)
