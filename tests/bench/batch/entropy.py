"""How few bytes a row could take: an estimate that is fixed here and knows nothing of the format.

Each field is predicted from what a receiver already has, by the best of FLAC's fixed predictors (orders 0 to 3) and a
linear one over eight values before, fitted by least squares, within one person's rows. What is left is measured over
the whole set, within eight classes of the size of the error before: numbers by Vasicek's spacing estimator (J. R. Stat.
Soc. B 38, 1976) on integers spread over their unit interval, so that ties count as they should; categories by their
conditional entropy given the value before, with the Miller-Madow correction. Random ids cost their random bits. The sum
over fields leaves what channels say about each other aside, so it is an estimate and no proven bound.
"""

import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.contents import Row
from tests.bench.batch.dataset import CHANNELS

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]

UUID4_BITS = 122
REQUEST_BITS = 128
_TAPS = 8
_CLASSES = 8
_CLOCK_STEP = 2.0**-36  # of a double near a day's seconds


def spacing_bits(values: Floats) -> float:
    """Entropy in bits of whole numbers [n], by the spacings of their sorted, dithered values."""
    count = len(values)
    gap = max(1, int(np.sqrt(count)))
    spread = np.sort(values + np.random.default_rng(1).random(count))
    padded = np.concatenate([np.full(gap, spread[0]), spread, np.full(gap, spread[-1])])
    spacing = np.maximum(padded[2 * gap :] - padded[: -2 * gap], 1e-9)
    return max(0.0, float(np.mean(np.log2(spacing * count / (2 * gap)))))


def category_bits(codes: Int64s) -> float:
    """Entropy in bits of a code [n] given the one before."""
    before, code = codes[:-1], codes[1:]
    pairs = _plug_in(np.unique(before * (codes.max() + 1) + code, return_counts=True)[1])
    return max(0.0, pairs - _plug_in(np.unique(before, return_counts=True)[1]))


def _plug_in(counts: Int64s) -> float:
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum() + (len(counts) - 1) / (2 * counts.sum() * np.log(2)))


def number_bits(series: list[Int64s]) -> float:
    """Entropy in bits a value of several series, each predicted by itself, all by the same kind of predictor."""
    predictors = [lambda x, k=order: np.diff(x, k) for order in range(4)]
    predictors.append(_linear_errors)
    return min(_classed_bits([predict(one.astype(np.float64)) for one in series]) for predict in predictors)


def _linear_errors(values: Floats) -> Floats:
    values = values - values[0]
    past = np.stack([values[_TAPS - tap : len(values) - tap] for tap in range(1, _TAPS + 1)], axis=1)
    past = np.column_stack([past, np.ones(len(past)), np.arange(len(past))])
    wanted = values[_TAPS:]
    return np.rint(wanted - past @ np.linalg.lstsq(past, wanted, rcond=None)[0])


def _classed_bits(errors: list[Floats]) -> float:
    now = np.concatenate([one[1:] for one in errors])
    before = np.abs(np.concatenate([one[:-1] for one in errors]))
    classes = np.searchsorted(np.quantile(before, np.linspace(0, 1, _CLASSES + 1)[1:-1]), before)
    parts = [now[classes == one] for one in np.unique(classes)]
    return sum(len(part) * spacing_bits(part) for part in parts) / len(now)


def event_bits(rows: list[Row], documents: list[dict]) -> dict[str, float]:
    """Bits a row by field."""
    people = np.unique([one["subject"] for one in documents], return_inverse=True)[1]
    of_each = [np.flatnonzero(people == person) for person in range(people.max() + 1)]

    def split(values: Int64s) -> list[Int64s]:
        return [values[rows] for rows in of_each]

    time, received, hlc = (np.array([getattr(row, name) for row in rows]) for name in ("time", "received", "hlc"))
    bits = {"id": float(UUID4_BITS), "person": category_bits(people), "time": number_bits(split(time))}
    bits |= {"received": number_bits(split(received - time)), "hlc": category_bits(hlc - (received // 1000 << 16))}
    for channel in CHANNELS:
        values = np.rint(np.array([one["data"][channel] for one in documents]) * 1e6).astype(np.int64)
        bits[channel] = number_bits(split(values))
    for mark in ("side", "exercise"):
        codes = np.unique([one["data"][mark] for one in documents], return_inverse=True)[1]
        bits[mark] = float(np.mean([category_bits(one) for one in split(codes)]))
    return bits


def prediction_bits(rows: list[Row], documents: list[dict]) -> dict[str, float]:
    """Bits a row by field."""
    time, hlc = np.array([row.time for row in rows]), np.array([row.hlc for row in rows])
    pairs = [one["pair"] for one in documents if "pair" in one]
    kinds = [(one["variant"], "pair" in one, one["pair"]["disagreements"] if "pair" in one else 0) for one in documents]
    latencies = [
        [one["latency"] for one in documents],
        [one["champion_latency"] for one in pairs],
        [one["challenger_latency"] for one in pairs],
    ]
    bits = {
        "request": float(REQUEST_BITS),
        "kind": category_bits(np.unique([str(one) for one in kinds], return_inverse=True)[1]),
        "time": number_bits([time]),
        "hlc": category_bits(hlc - (time // 1000 << 16)),
    }
    for name, values in zip(("latency", "champion_latency", "challenger_latency"), latencies, strict=True):
        steps = np.rint(np.array(values) / _CLOCK_STEP).astype(np.int64)
        bits[name] = number_bits([steps]) * len(steps) / len(rows)
    return bits
