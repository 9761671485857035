"""Sketches of a model's inputs and answers on validation data: what drift is told by in the field."""

from collections.abc import Sequence

import numpy as np

from skerry_core.bundle.inspection import Inspection
from skerry_core.bundle.manifest import Decision
from skerry_core.bundle.validation import Arrays, ValidationDataError, answers
from skerry_core.canonical import canonical_json
from skerry_core.drift.baseline import MAX_BASELINE_BYTES, is_whole, make_baseline
from skerry_core.drift.columns import Side, extract, sources_of
from skerry_core.features.definition import FeatureInput


def measure_baseline(
    inspection: Inspection, decision: Decision, model: bytes, data: Arrays, features: Sequence[FeatureInput]
) -> bytes:
    """The baseline's canonical bytes, MAX_BASELINE_BYTES at most.

    `data` holds one array a model input, [rows, ...], those that are filled from `features` too.
    Raises ValidationDataError and ModelUnsupportedError.
    """
    sources = sources_of(inspection.inputs, inspection.outputs, decision, features)
    parts = [[values] for values in extract(sources, {}, {})]
    whole = [True] * len(sources)
    for inputs, outputs in answers(inspection.inputs, inspection.outputs, model, data):
        for place, (source, values) in enumerate(zip(sources, extract(sources, inputs, outputs), strict=True)):
            parts[place].append(values)
            tensor = (inputs if source.side is Side.INPUT else outputs)[source.tensor]
            whole[place] = whole[place] and is_whole(source, tensor)
    baseline = make_baseline(sources, [np.concatenate(each) for each in parts], whole)
    encoded = b"" if baseline is None else canonical_json(baseline)
    if not 0 < len(encoded) <= MAX_BASELINE_BYTES:
        raise ValidationDataError(
            f"sketches of the validation data take {len(encoded)} bytes, at most {MAX_BASELINE_BYTES} are allowed"
        )
    return encoded
