"""Model inputs that features fill: bound to what fits, refused with what doesn't."""

import pytest

from skerry_core import digest as digests
from skerry_core.bundle.feature_inputs import FeatureBinding, bind
from skerry_core.bundle.manifest import DataType, TensorSpec
from skerry_core.canonical import canonical_json
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import OnRejected
from tests.unit.features.sets import document, feature

SET = document(
    [
        feature("mean", "Mean"),
        feature("histogram", "Histogram", buckets=[1.0, 2.0]),
        feature("last", "Last", default=None, onStale="Reject"),
    ]
)


def spec(*shape, name="x", datatype=DataType.FP32):
    return TensorSpec(name=name, datatype=datatype, shape=shape)


def binding(*features, of=SET, **more):
    return FeatureBinding("x", of, features, **more)


@pytest.mark.parametrize(
    ("features", "shape"),
    [((), (-1, 5)), ((), (-1, -1)), (("last", "mean"), (-1, 2)), (("histogram",), (1, 3)), (("mean", "mean"), (-1, 2))],
)
def test_features_fill_an_input_of_as_many_columns(features, shape):
    [bound] = bind([binding(*features, client_may_give=True)], [spec(*shape), spec(-1, name="other")])
    assert bound.features == (features or ("mean", "histogram", "last"))
    assert (bound.input, bound.client_may_give, bound.on_rejected) == ("x", True, OnRejected.ERROR)
    ref = bound.feature_set
    assert (ref.namespace, ref.name, ref.version) == ("plant", "presses", "1.0.0")
    assert ref.digest == digests.of_bytes(canonical_json(SET))


def test_a_model_without_features_has_none():
    assert bind([], [spec(-1, 4)]) == ()


@pytest.mark.parametrize(
    ("bindings", "shape", "words"),
    [
        ([binding()], (-1, 4), r"input x takes FP32 \[-1, 4\], its features make \[-1, 5\]"),
        ([binding()], (-1,), r"its features make \[-1, 5\]"),
        ([binding()], (2, 5), r"its features make \[-1, 5\]"),
        ([binding("mode")], (-1, 1), "presses 1.0.0 has no mode; it has mean, histogram, last"),
        ([FeatureBinding("y", SET)], (-1, 5), "the model has no input 'y'; it has x"),
        ([binding(), binding()], (-1, 5), "an input is filled from one feature set"),
        ([binding(on_rejected=OnRejected.DEFAULTS)], (-1, 5), "can't take defaults for last: the set gives none"),
    ],
)
def test_what_does_not_fit_is_refused(bindings, shape, words):
    with pytest.raises(UserMustActError, match=words):
        bind(bindings, [spec(*shape)])


def test_features_are_no_integers():
    with pytest.raises(UserMustActError, match="features are floats"):
        bind([binding()], [spec(-1, 5, datatype=DataType.INT64)])


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([SET.model_copy(update={"namespace": "else"})], "in different namespaces"),
        ([SET.model_copy(update={"stream": "other"})], "different things of the same version"),
        ([SET.model_copy(update={"version": f"1.{n}.0"}) for n in range(1, 9)], "9 feature sets, a release can have 8"),
    ],
)
def test_sets_that_no_release_could_name_are_refused(others, words):
    bindings = [FeatureBinding(f"x{n}", one) for n, one in enumerate([SET, *others])]
    with pytest.raises(UserMustActError, match=words):
        bind(bindings, [spec(-1, 5, name=each.input) for each in bindings])
