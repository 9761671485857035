"""What a manifest says of training, and what it can't say of a model that is filled from other features."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from skerry_core.bundle.training import MAX_FILES, Training, TrainingRound, TrainingRows, check_training
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import FeatureInput, FeatureSetRef

AT = datetime(2026, 11, 20, tzinfo=UTC)
ONE, TWO = ("sha256:" + digit * 64 for digit in "12")


def ref(digest=ONE, name="presses"):
    return FeatureSetRef(namespace="plant", name=name, version="1.0.0", digest=digest)


def rows(features=("mean", "count"), **of):
    return TrainingRows(digest=TWO, rows=5, feature_set=ref(**of), features=features)


def bound(*features, **of):
    return FeatureInput(input="x", feature_set=ref(**of), features=features)


def trained(*data, name="w47"):
    return Training(round=TrainingRound(id=name, at=AT), data=data)


@pytest.mark.parametrize(
    ("data", "bindings", "said"),
    [
        ([], [bound("mean")], ""),
        ([rows()], [], ""),
        ([rows()], [bound("mean")], ""),
        ([rows(), rows(name="other", digest=TWO)], [bound("count", "mean")], ""),
        ([rows(digest=TWO)], [bound("mean")], "are of plant/presses 1.0.0"),
        ([rows(), rows(digest=TWO)], [bound("mean")], "are of plant/presses 1.0.0"),
        ([rows()], [bound("mean", "std", "p90")], "lack features of plant/presses that fill input x: std, p90"),
    ],
)
def test_rows_are_of_what_nodes_fill_in(data, bindings, said):
    if not said:
        check_training(trained(*data), bindings)
        return
    with pytest.raises(UserMustActError, match=said):
        check_training(trained(*data), bindings)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a\n", "x" * 129])
def test_what_is_no_round(name):
    with pytest.raises(ValidationError):
        trained(name=name)


def test_it_is_bounded():
    trained(*[rows()] * MAX_FILES)
    with pytest.raises(ValidationError):
        trained(*[rows()] * (MAX_FILES + 1))
