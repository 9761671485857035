"""The parts that turn numbers and texts into small integers, each against its inverse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skerry_core.batch import digits, floats
from skerry_core.batch.layout import Stream
from skerry_core.batch.prediction import Groups, Predictor, unzigzag, zigzag
from skerry_core.batch.streams import StreamBytes, StreamReader, StreamWriter, cheapest
from skerry_core.batch.texts import Texts
from skerry_core.batch.tokens import SCHEMES, ZEROS, Tokens, pack_bits, unpack_values

int64 = st.integers(-(2**63), 2**63 - 1)
series = st.one_of(
    hnp.arrays(np.int64, st.integers(0, 60), elements=int64),
    hnp.arrays(np.int64, st.integers(0, 60), elements=st.integers(-3, 3)),
    st.tuples(int64, st.integers(-5, 5), st.integers(1, 60)).map(
        lambda line: np.int64(line[0]) + np.int64(line[1]) * np.arange(line[2], dtype=np.int64)
    ),
)
doubles = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(allow_nan=False, allow_infinity=False))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", range(1, len(SCHEMES)))
@given(st.data())
@settings(max_examples=30)
def test_tokens_and_open_bits_make_the_value_again(scheme, data):
    wide = st.integers(0, 63).flatmap(lambda bits: st.integers(0, 2 ** (bits + 1) - 1))
    limit = SCHEMES[scheme].limit
    values = np.array([one % limit for one in data.draw(st.lists(wide, max_size=60))], np.uint64)
    tokens = Tokens.of(values, scheme)
    stream = pack_bits(tokens.rest, tokens.width)
    assert len(stream) == -(-int(tokens.width.sum(dtype=int)) // 8)
    read, taken = unpack_values(tokens.tokens, np.full(len(values), scheme, np.uint8), stream + b"more")
    assert (read.tolist(), taken) == (values.tolist(), len(stream))
    if stream:
        with pytest.raises(ValueError, match="open bits"):
            unpack_values(tokens.tokens, np.full(len(values), scheme, np.uint8), stream[:-1])


@given(series)
def test_zigzag(values):
    assert (unzigzag(zigzag(values)) == values).all()


@given(series, st.integers(0, 2), st.integers(1, 7))
def test_prediction_by_lag(values, order, lag):
    predictor = Predictor(order, lag)
    assert (predictor.values(predictor.errors(values)) == values).all()


@given(series, st.integers(0, 2), st.integers(1, 5), st.randoms())
def test_prediction_by_group(values, order, kinds, random):
    groups = Groups.of(np.array([random.randrange(kinds) for _ in values], np.int64))
    predictor = Predictor(order)
    assert (predictor.values(predictor.errors(values, groups), groups) == values).all()


def test_devices_that_take_turns_are_predicted_by_themselves():
    codes = np.tile(np.arange(4), 50)
    values = codes * 10**6 + np.repeat(np.arange(50), 4) * np.array([1, -2, 3, 0])[codes]
    writer = StreamWriter()
    by = writer.add(codes, codes=True)
    number = writer.add(values)
    assert writer.coded()[number].spec.groups == by


@given(st.lists(series, max_size=5), st.booleans())
def test_streams_come_back(several, codes):
    writer = StreamWriter()
    for values in several:
        near = 0 if len(several[0]) == len(values) and len(writer.coded()) else -1
        writer.add(values, lags=(1, 3), near=near, codes=codes and near < 0)
    coded = writer.coded()
    packed = StreamBytes.of(coded)
    content = b"".join([*packed.tokens, packed.bits])
    reader = StreamReader([one.spec for one in coded], content + b"more")
    assert reader.end == len(content)
    for number, values in enumerate(several):
        assert reader.values(number, len(values)).tolist() == values.tolist()


def test_a_regular_series_costs_nothing():
    assert cheapest(np.arange(7, 7007, 7)).spec == Stream(
        1000, cheapest(np.arange(7, 7007, 7)).spec.scheme, 1, 7, 7, True
    )
    assert cheapest(np.full(1000, 7)).spec == Stream(1000, ZEROS, base=7)


def same_bits(one, other) -> bool:
    return one.view(np.int64).tolist() == other.view(np.int64).tolist()


@given(doubles)
def test_doubles_in_every_form(values):
    assert same_bits(floats.from_bits(*reversed(floats.as_bits(values))), values)
    binary = floats.as_binary(values)
    assert binary is None or same_bits(floats.from_binary(*reversed(binary)), values)
    decimals = floats.as_decimals(values)
    assert decimals is None or same_bits(floats.from_decimals(decimals), values)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=50), st.integers(0, 9))
def test_decimals_are_found(numbers, places):
    values = np.array(numbers) / 10.0**places
    decimals = floats.as_decimals(values)
    assert decimals is not None
    assert decimals.places <= places
    assert same_bits(floats.from_decimals(decimals), values)
    if len(numbers) < 16:
        assert not decimals.ulps.any()


alphabet = st.sampled_from(["0", "1", "9", "a", "f", "z", "-", "é", "2026", "0a1b2c"])


@given(st.lists(st.lists(alphabet, max_size=8).map("".join), min_size=1, max_size=8))
def test_a_template_says_the_same_texts_or_nothing(texts):
    template = digits.as_template(texts)
    assert template is None or Texts(digits.from_template(template)).listed() == texts


@given(
    st.lists(st.datetimes(), min_size=1, max_size=8),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
    st.sampled_from(["Z", "+00:00", "-07:30"]),
)
def test_times_say_the_same_texts(times, precision, zone):
    texts = [one.isoformat(timespec=precision) + zone for one in times]
    found = digits.as_times(texts)
    assert found is not None
    assert Texts(digits.from_times(found)).listed() == texts


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        (digits.Numbers(10, 2, np.array([100])), "more digits"),
        (digits.Numbers(16, 1, np.array([16])), "more digits"),
        (digits.Numbers(10, 0, np.array([-1])), "negative"),
    ],
)
def test_numbers_that_no_text_gave_are_refused(numbers, problem):
    with pytest.raises(ValueError, match=problem):
        digits.from_template(digits.Template(["", ""], [numbers]))


def test_a_lag_beyond_the_values_takes_no_memory_of_its_own():
    errors = np.array([3, 1, -4], np.int64)
    assert Predictor(1, (1 << 32) - 1).values(errors).tolist() == [3, 1, -4]
