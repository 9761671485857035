"""A FeatureSet's spec: what is filled in, what units become, and what is refused in which words."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.v1alpha1.featureset import FeatureSetEffective, FeatureSetSpec
from skerry_core.canonical import canonical_json
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import FeatureSetDocument, OnStale
from skerry_operator.hub.feature_set.check import publishable
from skerry_operator.hub.feature_set.resolve import effective_set
from skerry_operator.hub.feature_set.units import conversion
from tests.unit.hub.feature_sets import FIELDS, feature, resolved, spec

ROOT = Path(__file__).parents[3]
EXAMPLES = [
    one["spec"]
    for path in (ROOT / "examples" / "featureset.yaml", ROOT / "tests" / "integration" / "crds" / "valid.yaml")
    for one in yaml.safe_load_all(path.read_text())
    if one["kind"] == "FeatureSet"
]


def refusal(wire):
    with pytest.raises(UserMustActError) as refused:
        resolved(wire)
    return f"{refused.value.reason}: {refused.value}"


def number(**more):
    return spec(fields=[{"name": "rms", "type": "Float64", **more}])


def test_every_default_is_filled_in():
    document = resolved(spec())
    rms, state, _ = document.fields
    assert (rms.path, rms.required, rms.unit, rms.factor, rms.offset) == ("data.rms", True, "", 1.0, 0.0)
    assert not state.required
    [mean] = document.features
    assert (mean.window.size, mean.window.pane, mean.ttl) == (
        timedelta(minutes=10),
        timedelta(minutes=1),
        timedelta(minutes=10),
    )
    assert mean.on_stale is OnStale.REJECT
    assert document.allowed_lateness == timedelta(minutes=5)
    assert (document.limits.max_entities, document.limits.max_bytes) == (100_000, 256 << 20)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"default": 0}, OnStale.DEFAULT),
        ({"default": 0, "onStale": "Reject"}, OnStale.REJECT),
        ({"onStale": "Recompute"}, OnStale.RECOMPUTE),
    ],
)
def test_what_becomes_of_a_stale_value_follows_from_its_default(given, expected):
    [found] = resolved(spec(feature(**given))).features
    assert found.on_stale is expected


def test_a_tumbling_window_is_one_pane():
    [found] = resolved(spec(feature(window={"kind": "Tumbling", "size": "1h"}))).features
    assert found.window.pane == found.window.size


def test_an_embedding_is_as_long_as_its_field():
    [found] = resolved(spec(feature("shape", "EmbeddingMean", " spectrum"))).features
    assert found.length == 8


@pytest.mark.parametrize("wire", EXAMPLES, ids=["example", "as full as it gets"])
def test_what_is_said_is_published_whole(wire):
    made = publishable("f", "presses", FeatureSetSpec.model_validate(wire))
    # As the hub reads it back from the object's status.
    again = FeatureSetEffective.model_validate(made.effective.to_wire())
    assert again == made.effective
    assert publishable("f", "presses", again).data == made.data
    assert [each.name for each in made.document.features] == [each["name"] for each in wire["features"]]
    for said, found in zip(wire["features"], made.document.to_wire()["features"], strict=True):
        assert {**found, **said, "window": None} == {**found, "window": None}


def test_what_was_resolved_resolves_to_itself():
    once = effective_set(FeatureSetSpec.model_validate(spec(feature(default=0), feature("n", "Count", None))))
    assert effective_set(once) == once
    assert publishable("f", "p", once).data == publishable("f", "p", FeatureSetSpec.model_validate(once.to_wire())).data


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("m/s", "mm/s", (1000.0, 0.0)),
        ("degF", "degC", (5 / 9, -160 / 9)),
        ("degC", "K", (1.0, 273.15)),
        ("degC/s", "K/min", (60.0, 0.0)),
        ("kW*h", "MJ", (3.6, 0.0)),
        ("N", "kg*m/s^2", (1.0, 0.0)),
        ("psi", "bar", (8896443230521 / 129032000000000, 0.0)),
        ("turn/min", "turn/s", (1 / 60, 0.0)),
        ("rpm", "turn/s", (1 / 60, 0.0)),
        ("1/min", "Hz", (1 / 60, 0.0)),
        ("%", "ppm", (10000.0, 0.0)),
        ("MiB", "B", (1048576.0, 0.0)),
        ("\u00b5m", "mm", (0.001, 0.0)),
        ("mm", "mm", (1.0, 0.0)),
        (None, "mm", (1.0, 0.0)),
        (None, None, (1.0, 0.0)),
    ],
)
def test_units_are_converted_exactly_and_rounded_once(source, target, expected):
    assert conversion(source, target, "field x") == expected


def test_a_unit_that_events_tell_has_its_conversion_in_the_document():
    document = resolved(number(unit="bar", unitFrom=["data.unit"], sourceUnits=["bar", "psi"]))
    assert document.schema_version == 2
    told = document.fields[0].told_unit
    assert [(each.unit, each.factor, each.offset) for each in told.conversions] == [
        ("bar", 1.0, 0.0),
        ("psi", 8896443230521 / 129032000000000, 0.0),
    ]
    assert (told.paths, told.required) == (("data.unit",), True)


def test_of_events_that_tell_no_unit_the_source_unit_holds():
    [field] = resolved(number(unit="bar", sourceUnit="kPa", unitFrom=["data.unit"], sourceUnits=["psi"])).fields
    assert (field.factor, field.told_unit.required) == (0.01, False)


def test_what_needs_no_newer_grammar_keeps_its_digest():
    assert (
        publishable("f", "presses", FeatureSetSpec.model_validate(spec())).digest
        == "sha256:01bfac1ec7c96dc01a09baa4978cbaf03c432edbd5eff14ec2ce4000335508ff"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"unit": "bar", "unitFrom": ["data.unit"], "sourceUnits": ["psi", "degC"]},
            "UnitsDiffer: field rms: degC is no bar, whatever the factor",
        ),
        ({"unit": "m", "sourceUnit": "s"}, "UnitsDiffer: field rms: s is no m, whatever the factor"),
        ({"unit": "Hz", "sourceUnit": "rpm"}, "UnitsDiffer: field rms: rpm is no Hz"),
        ({"unit": "mW", "sourceUnit": "dBm"}, "UnitsDiffer: field rms: dBm to mW is no multiplication: send mW"),
        ({"unit": "furlongs_per_dog"}, "UnitUnknown: field rms: 'furlongs_per_dog' is no unit"),
        ({"unit": "m", "sourceUnit": "metrr"}, "UnitUnknown: field rms: 'metrr' is no unit"),
    ],
)
def test_units_that_no_factor_joins_are_refused(given, words):
    assert words in refusal(number(**given))


@given(
    st.text("mskgAWhJK1%/*^-9_\u00b5 ", max_size=12)
    | st.sampled_from(["m^9/s^-9*kg", "1/1", "m**9**9", "m//s", "^2", "**"])
)
def test_no_text_of_a_unit_does_anything_but_be_one_or_be_refused(text):
    try:
        spec_read = FeatureSetSpec.model_validate(number(unit=text))
    except ValueError:
        return
    with suppress(UserMustActError):
        publishable("f", "p", spec_read)


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (spec(feature(value="rmss")), "feature mean: rmss is no field; there are rms, spectrum, state"),
        (spec(feature(value="rms +")), "ExpressionInvalid: feature mean"),
        (spec(feature(filter="rms")), "field rms is no condition"),
        (spec(feature(value="state")), "Mean can't be of text"),
        (spec(feature("shape", "EmbeddingLast", "rms")), "EmbeddingLast lacks its parameter"),
        (spec(feature("p", "Quantile")), "Quantile lacks its parameter"),
        (spec(feature("h", "Histogram", buckets=[2, 1])), "buckets must ascend"),
        (spec(feature(onStale="Default")), "feature mean: onStale Default needs a default"),
        (spec(feature(), feature()), "two features have the same name"),
        (spec(fields=(*FIELDS, {"name": "press", "type": "String"})), "two entities or fields have the same name"),
        (spec(feature(window={"size": "10m", "pane": "7s"})), "a window is 1 to 512 whole panes"),
        (spec(feature(window={"size": "24h", "pane": "1s"})), "a window is 1 to 512 whole panes"),
        (spec(feature(window={"size": "15ms"})), "feature mean: its window can't be cut into whole milliseconds"),
        (spec(feature(ttl="1.5ms")), "whole milliseconds"),
        (spec(fields=[{"name": "in", "type": "Float64"}]), "means something in expressions"),
        (
            spec(*(feature(f"f{i}", value=f"{'rms + ' * 100}{i}.0", default=0) for i in range(128))),
            "FeatureSetTooLarge",
        ),
    ],
)
def test_what_nodes_could_not_compute_is_refused(wire, words):
    assert words in refusal(wire)


def test_the_digest_is_of_what_nodes_read():
    made = publishable("f", "presses", FeatureSetSpec.model_validate(spec()))
    assert canonical_json(FeatureSetDocument.model_validate_json(made.data)) == made.data
    again = publishable("g", "presses", FeatureSetSpec.model_validate(spec()))
    assert made.digest != again.digest
