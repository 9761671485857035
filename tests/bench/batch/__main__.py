"""`make bench-batch`: bytes a row and time a batch, beside JSON Lines, Arrow, Parquet and an estimated entropy."""
# ruff: noqa: T201 - printing is what it is for

import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from skerry_core.batch.bodies import parse_rows
from skerry_core.batch.codec import decode, decode_columns, encode, encode_as
from skerry_core.batch.contents import Batch, Row
from skerry_core.batch.jsonl_form import write
from skerry_core.batch.key import Format
from tests.bench.batch import baselines, dataset, entropy

RESULT = Path("build/bench/batch.json")
SIZES = (10, 32, 100, 300)
GOAL = 0.7  # of JSON Lines with zstd-3, at 1,000 rows


def main() -> None:
    """Measure both sets, print a table each, write the figures."""
    sets = {
        "events": (dataset.events(), entropy.event_bits),
        "predictions": (dataset.predictions(), entropy.prediction_bits),
    }
    figures: dict[str, Any] = {name: _measured(name, rows, bits) for name, (rows, bits) in sets.items()}
    figures["batch1000_bytes_vs_jsonl_zstd3"] = figures["events"]["vs_jsonl_zstd3"]["mean"]
    figures["batch1000_bytes_vs_entropy"] = figures["events"]["vs_entropy"]
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {RESULT}")


def _measured(name: str, rows: list[Row], estimate: Callable[[list[Row], list[dict]], dict[str, float]]) -> dict:
    documents = [json.loads(row.body) for row in rows]
    bits = estimate(rows, documents)
    batches = dataset.batches(rows, name)
    sizes = {form: np.array([size(batch) for batch in batches]) / dataset.BATCH for form, size in _FORMS.items()}
    ours = sizes["ours"]
    bare = sizes["JSON Lines of the bodies alone + zstd-3"]
    whole = sizes["JSON Lines + zstd-3"]
    floor = sum(bits.values()) / 8
    ids = (bits.get("id", 0.0) + bits.get("request", 0.0)) / 8
    print(f"\n{name}: {len(batches)} batches of {dataset.BATCH}, bytes a row (mean, 5 % to 95 %)")
    for form, one in sizes.items():
        print(f"  {form:44} {one.mean():7.2f}  {np.quantile(one, 0.05):7.2f} to {np.quantile(one, 0.95):7.2f}")
    print(f"  {'estimated entropy':44} {floor:7.2f}  ({floor - ids:.2f} without the random ids)")
    print(f"  ours against JSON Lines of the bodies alone + zstd-3: {_spread(ours / bare)} (goal {GOAL})")
    print(f"  ours against JSON Lines + zstd-3: {_spread(ours / whole)}; against the entropy {ours.mean() / floor:.3f}")
    return {
        "batches": len(batches),
        "bytes_a_row": {form: _figures(one) for form, one in sizes.items()},
        "entropy_bytes_a_row": floor,
        "entropy_without_ids_bytes_a_row": floor - ids,
        "entropy_bits_by_field": bits,
        # The baseline is the stricter one: it lacks the clocks and sequence numbers that ours carries.
        "vs_jsonl_zstd3": _figures(ours / bare),
        "vs_jsonl_with_clocks_zstd3": _figures(ours / whole),
        "vs_entropy": float(ours.mean() / floor),
        "speed": _speed(batches[:20]),
        "small": _small(rows, name),
    }


def _typed(of: Callable[[Any], int]) -> Callable[[Batch], int]:
    return lambda batch: of(baselines.table(list(batch.rows), [json.loads(row.body) for row in batch.rows]))


def _lines(batch: Batch) -> bytes:
    return write(batch, parse_rows(batch.rows))


def _bare(batch: Batch) -> bytes:
    return b"".join(row.body + b"\n" for row in batch.rows)


_FORMS: dict[str, Callable[[Batch], int]] = {
    "raw JSON of the bodies": lambda batch: len(_bare(batch)),
    "JSON Lines of the bodies alone + zstd-3": lambda batch: len(zstandard.compress(_bare(batch), 3)),
    "JSON Lines + zstd-3": lambda batch: len(zstandard.compress(_lines(batch), 3)),
    "JSON Lines + zstd-19": lambda batch: len(zstandard.compress(_lines(batch), 19)),
    "typed Arrow IPC + zstd": _typed(baselines.arrow_bytes),
    "typed Parquet + zstd": _typed(baselines.parquet_bytes),
    "ours": lambda batch: len(encode(batch).data),
}


def _speed(batches: list[Batch]) -> dict[str, dict[str, float]]:
    """CPU time of this thread in ms a batch; other work on the machine counts only as far as it spoils caches."""
    encoded = [encode_as(batch, Format.COLUMNS).data for batch in batches]
    runs: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
        "encode": (encode, batches),
        "decode to rows": (decode, encoded),
        "decode to columns": (decode_columns, encoded),
    }
    result = {}
    for name, (run, inputs) in runs.items():
        run(inputs[0])
        gc.collect()
        spent = []
        for one in inputs:
            before = time.thread_time()
            run(one)
            spent.append((time.thread_time() - before) * 1e3)
        median = float(np.median(spent))
        print(f"  {name:20} {median:6.2f} ms of CPU a batch, {dataset.BATCH / median:6.0f}k rows/s")
        result[name] = {"median_ms": median, "p95_ms": float(np.quantile(spent, 0.95)), "rows_per_s": 1e6 / median}
    return result


def _small(rows: list[Row], name: str) -> dict[str, dict[str, float]]:
    """Bytes a row of small batches in both forms."""
    result = {}
    for size in SIZES:
        batches = dataset.batches(rows[: 20 * size], name, size)
        both = {form: float(np.mean([len(encode_as(one, form).data) for one in batches])) / size for form in Format}
        chosen = [str(encode(one).format) for one in batches]
        columns, lines = both[Format.COLUMNS], both[Format.JSONL]
        taken = f"columns taken in {chosen.count('columns')} of {len(chosen)}"
        print(f"  {size:4} a batch: columns {columns:6.1f}, JSON Lines {lines:6.1f} bytes a row; {taken}")
        result[str(size)] = {str(form): bytes_a_row for form, bytes_a_row in both.items()}
    return result


def _figures(values: np.ndarray) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "p05": float(np.quantile(values, 0.05)),
        "p95": float(np.quantile(values, 0.95)),
    }


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ({np.quantile(values, 0.05):.3f} to {np.quantile(values, 0.95):.3f})"


if __name__ == "__main__":
    main()
