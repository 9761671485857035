"""An explanation as lines for people. Pure."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from skerry_core.features.values import Value
from skerry_core.lineage.causes import Cause, Suspect, Verdict
from skerry_core.lineage.explanation import Explanation, FeatureTold, InputTold, PairTold, PayloadTold
from skerry_core.lineage.record import Element, TensorRecord
from skerry_operator.cli.cells import short

# A terminal's worth; --json has as many as were told.
SHOWN_EVENTS = 20
SHOWN_VALUES = 12
_SAID = {
    Cause.CORRUPT_CACHE: "damage on node {}, which told of a damaged store, log or feature store",
    Cause.ROLLOUT: "the release {}",
    Cause.TRAINING_ROUND: "the training round {}, of which its releases came",
    Cause.FEATURE_SET: "the feature sets {}",
    Cause.STALE_FEATURES: "stale features, which gave their defaults",
    Cause.NODE: "node {}, which tells of no damage",
}


def lines(told: Explanation) -> Iterator[str]:
    """The whole explanation, without line ends."""
    yield f"prediction  {told.id}"
    yield f"answered    {told.time}, request {told.request}, {told.rows} row{'' if told.rows == 1 else 's'}"
    yield f"model       {told.namespace}/{told.model} {told.version} ({told.variant}), {_ms(told.latency_seconds)}"
    yield f"release     {told.release}{f', made {told.model_created}' if told.model_created else ''}"
    if told.training is not None:
        rows = f", on {', '.join(told.training.rows)}" if told.training.rows else ""
        yield f"trained     in round {told.training.round}, {told.training.at}{rows}"
    if told.runtime:
        yield f"runtime     {told.runtime}"
    if told.preprocessing_version:
        yield f"prepared    by preprocessing {told.preprocessing_version}"
    if told.entity:
        yield f"about       {', '.join(f'{name} {part}' for name, part in told.entity.items())}"
    if told.given:
        yield f"given       by the client: {', '.join(told.given)}"
    if told.pair is not None:
        yield from _pair(told.pair)
    if told.payload is not None:
        yield from _payload(told.payload)
    for note in told.notes:
        yield f"note        {note}"
    for filled in told.inputs:
        yield ""
        yield from _input(filled)


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """What sets a fleet's bad answers apart."""
    yield f"{verdict.bad} of {verdict.answers} answers are bad"
    for finding in verdict.findings:
        yield f"likely cause: {_SAID[finding.likely.cause].format(finding.likely.subject)}"
        yield f"  {_evidence(finding.likely)}"
        if finding.through is not None:
            yield f"  through {_SAID[finding.through.cause]}: {_evidence(finding.through)}"
        for other in finding.alike:
            yield f"  can't be told apart from: {_SAID[other.cause].format(other.subject)}; {_evidence(other)}"
    if verdict.reason:
        yield verdict.reason


def _evidence(suspect: Suspect) -> str:
    high = "any" if suspect.high is None else f"{suspect.high:.1f}"
    return (
        f"{suspect.exposed_bad} of {suspect.exposed} such answers are bad, "
        f"{suspect.other_bad} of {suspect.others} others: "
        f"{suspect.ratio:.1f} times the risk (99.9 %: {suspect.low:.1f} to {high})"
    )


def _pair(pair: PairTold) -> Iterator[str]:
    yield (
        f"canary      {short(pair.champion)} against {short(pair.challenger)}: "
        f"{pair.disagreements} of {pair.rows} rows differ, "
        f"{_ms(pair.champion_latency_seconds)} against {_ms(pair.challenger_latency_seconds)}"
        f"{f', {pair.error}' if pair.error else ''}"
    )


def _payload(payload: PayloadTold) -> Iterator[str]:
    for what, tensors in (("saw", payload.inputs), ("gave", payload.outputs)):
        for name, tensor in tensors.items():
            shape = ", ".join(map(str, tensor.shape))
            yield f"{what:<12}{name}, {tensor.datatype or 'of a type that is withheld'} [{shape}]: {_data(tensor)}"


def _data(tensor: TensorRecord) -> str:
    if tensor.data is None:
        return "withheld"
    shown = " ".join(map(_element, tensor.data[:SHOWN_VALUES])) or "no values"
    left = len(tensor.data) - SHOWN_VALUES
    return f"{shown} … and {left} more: --json has them" if left > 0 else shown


def _element(value: Element) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _input(filled: InputTold) -> Iterator[str]:
    schema = "" if filled.schema_version is None else f", schema {filled.schema_version}"
    yield f"input {filled.input}: {filled.set} {filled.version} ({filled.digest}{schema})"
    yield f"  data window {filled.since} to {filled.until or '-'}, with events up to {filled.applied or 'none'}"
    header = ("FEATURE", "STATUS", "AGE", "VALUE", "EVENTS", "WINDOW")
    yield from _table([header, *(_feature(each) for each in filled.features)])
    for note in filled.notes:
        yield f"  note: {note}"
    if not filled.events:
        return
    plural = "" if filled.events_found == 1 else "s"
    yield f"  {filled.events_found} event{plural} of {filled.stream}, the newest first:"
    shown = filled.events[:SHOWN_EVENTS]
    yield from _table([(each.time, each.id, ", ".join(each.features)) for each in shown])
    if filled.events_found > len(shown):
        yield f"  … and {filled.events_found - len(shown)} more: --json has up to {len(filled.events)}"


def _feature(told: FeatureTold) -> tuple[str, ...]:
    events = "-"
    if told.counted is not None:
        events = str(told.counted) if told.found in {None, told.counted} else f"{told.found} kept of {told.counted}"
    return (
        told.name,
        told.status,
        "-" if told.age_seconds is None else f"{told.age_seconds:.1f} s",
        _value(told.value),
        events,
        f"{told.window_start} to {told.window_end}" if told.window_start else "-",
    )


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.3g} ms"


def _value(value: Value | None) -> str:
    if value is None:
        return "-"
    numbers = value if isinstance(value, tuple) else (value,)
    return " ".join(f"{number:.6g}" for number in numbers)


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row in rows:
        yield ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
