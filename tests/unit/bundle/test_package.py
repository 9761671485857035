import json

import numpy as np
import pytest
from onnx import TensorProto

from skerry_core import digest as digests
from skerry_core.bundle.feature_inputs import FeatureBinding
from skerry_core.bundle.folder import read_bundle, write_signature
from skerry_core.bundle.inspection import ModelUnsupportedError
from skerry_core.bundle.manifest import Decision, DecisionKind, Manifest
from skerry_core.bundle.package import Comparison, package_model
from skerry_core.bundle.validation import ValidationDataError
from skerry_core.canonical import canonical_json, parse_canonical
from skerry_core.drift.baseline import read_baseline
from skerry_core.errors import UserMustActError
from skerry_core.store.errors import DigestMismatchError
from tests.unit.bundle.conftest import NOW
from tests.unit.bundle.models import FEATURES, classifier, identity, linear
from tests.unit.features.sets import document, feature


def features(rows):
    data = np.zeros((rows, FEATURES), np.float32)
    data[np.arange(rows), np.arange(rows) % 3] = 1
    data[:, 3] = 2
    return {"features": data}


def test_writes_a_bundle_that_reads_back(packaged):
    bundle = packaged(notes="first")
    assert sorted(path.name for path in bundle.folder.iterdir()) == ["manifest.json", "model.onnx"]
    assert bundle.manifest_bytes == (bundle.folder / "manifest.json").read_bytes()
    assert canonical_json(json.loads(bundle.manifest_bytes)) == bundle.manifest_bytes
    assert canonical_json(bundle.manifest) == bundle.manifest_bytes
    manifest = bundle.manifest
    assert (manifest.model, manifest.version, manifest.created_at, manifest.notes) == ("har", "1.0.0", NOW, "first")
    assert manifest.decision == Decision(kind=DecisionKind.ARGMAX, output="scores")
    assert manifest.expected_disagreement is None
    assert manifest.entrypoint == "model.onnx"
    assert manifest.files[0].digest == digests.of_bytes(classifier())
    assert read_bundle(bundle.folder) == bundle
    assert bundle.signature is None


def test_the_same_inputs_give_the_same_digest(packaged):
    assert packaged().digest == packaged().digest
    assert packaged().digest != packaged(notes="other").digest


def test_measures_against_the_baseline(packaged):
    baseline = packaged()
    bundle = packaged(classifier(favoured=1), version="1.1.0", comparison=Comparison(baseline, features(300)))
    expected = bundle.manifest.expected_disagreement
    assert expected.baseline == baseline.digest
    assert expected.rate == pytest.approx(2 / 3)
    assert expected.samples == 300


def test_packaging_again_takes_the_old_signature_away(packaged):
    bundle = packaged()
    write_signature(bundle, b"{}")
    assert read_bundle(bundle.folder).signature == b"{}"
    assert packaged(notes="changed").signature is None


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (Decision(kind=DecisionKind.ARGMAX, output="nothing"), "has no output 'nothing'; it has"),
        (Decision(kind=DecisionKind.TOLERANCE, output="nothing", tolerance=1), "has no output"),
    ],
)
def test_a_decision_needs_its_output(packaged, decision, message):
    with pytest.raises(UserMustActError, match=message) as caught:
        packaged(decision=decision)
    assert caught.value.reason == "DecisionInvalid"


@pytest.mark.parametrize(
    ("data", "decision", "message"),
    [
        (identity(TensorProto.INT64), None, "can't be told"),
        (identity(TensorProto.FLOAT, ["n"]), None, "can't be told"),
        (identity(TensorProto.FLOAT, ["n"]), Decision(kind=DecisionKind.ARGMAX, output="y"), "one number a row"),
        (identity(TensorProto.FLOAT, []), Decision(kind=DecisionKind.TOLERANCE, output="y"), "no rows"),
    ],
)
def test_a_decision_fits_its_output(packaged, data, decision, message):
    with pytest.raises(UserMustActError, match=message):
        packaged(data, decision=decision)


def test_a_regression_is_compared_within_a_tolerance(packaged):
    decision = Decision(kind=DecisionKind.TOLERANCE, output="y", tolerance=0.5)
    assert packaged(identity(TensorProto.FLOAT, ["n"]), decision=decision).manifest.decision == decision


def test_a_baseline_is_of_the_same_model(packaged):
    baseline = packaged(model="other")
    with pytest.raises(UserMustActError, match="a bundle of 'other', not 'har'"):
        packaged(comparison=Comparison(baseline, features(3)))


def test_a_model_without_any_finite_answer_is_not_measured(packaged):
    baseline = packaged()
    with pytest.raises(ValidationDataError, match="on no row"):
        packaged(linear(np.full((4, 3), np.nan)), version="1.1.0", comparison=Comparison(baseline, features(3)))


def test_what_can_not_be_packaged_leaves_no_bundle(tmp_path):
    source = tmp_path / "broken.onnx"
    source.write_bytes(b"broken")
    with pytest.raises(ModelUnsupportedError):
        package_model(source, tmp_path / "out", model="har", version="1.0.0", created_at=NOW)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["missing", "changed", "longer", "link"])
def test_reading_checks_every_file(packaged, tmp_path, damage):
    bundle = packaged()
    model = bundle.folder / "model.onnx"
    data = model.read_bytes()
    model.unlink()
    if damage == "changed":
        model.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "longer":
        model.write_bytes(data + b"\0")
    elif damage == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        model.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserMustActError, match="package the model again") as caught:
        read_bundle(bundle.folder)
    assert isinstance(caught.value, DigestMismatchError) == (damage in {"changed", "longer"})


@pytest.mark.parametrize("path", ["../model.onnx", "/etc/passwd", "a/b", ".hidden", ""])
def test_a_manifest_can_not_name_files_elsewhere(packaged, path):
    bundle = packaged()
    wire = json.loads(bundle.manifest_bytes)
    wire["files"][0]["path"] = path
    (bundle.folder / "manifest.json").write_text(json.dumps(wire))
    with pytest.raises(UserMustActError, match="path") as caught:
        read_bundle(bundle.folder)
    assert caught.value.reason == "BundleMalformed"


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", b" " * (1 << 21)])
def test_a_folder_without_a_manifest_is_no_bundle(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(UserMustActError, match=r"manifest\.json") as caught:
        read_bundle(tmp_path)
    assert caught.value.reason == "BundleMalformed"


def test_manifests_survive_their_own_canonical_form(packaged):
    manifest = packaged().manifest
    assert Manifest.model_validate_json(canonical_json(manifest)) == manifest


def test_a_manifest_of_before_preprocessing_was_named_keeps_its_digest():
    old = (
        b'{"createdAt":"2026-01-01T00:00:00Z","decision":{"kind":"argmax","output":"scores","tolerance":0},'
        b'"entrypoint":"model.onnx","features":[],"files":[{"digest":"sha256:' + b"f" * 64 + b'","path":"model.onnx",'
        b'"size":1}],"inputs":[{"datatype":"FP32","name":"x","shape":[-1,4]}],"model":"har","modelFormat":"onnx",'
        b'"notes":"","outputs":[{"datatype":"FP32","name":"scores","shape":[-1,3]}],"runtime":{"irVersion":8,'
        b'"operators":["MatMul"],"opsets":{"":17}},"version":"1.0.0"}'
    )
    manifest = Manifest.model_validate(parse_canonical(old))
    assert manifest.preprocessing_version is None
    assert canonical_json(manifest) == old


def test_the_preprocessing_is_signed_for(packaged):
    bundle = packaged(preprocessing_version="2.1.0")
    assert json.loads(bundle.manifest_bytes)["preprocessingVersion"] == "2.1.0"
    assert read_bundle(bundle.folder).manifest.preprocessing_version == "2.1.0"
    assert bundle.digest not in {packaged().digest, packaged(preprocessing_version="2.1.1").digest}


@pytest.mark.parametrize("version", ["", "2", "2.1.0\n", "2.1.0-" + "x" * 60, 2])
def test_a_version_of_preprocessing_is_semantic_and_short(packaged, version):
    bundle = packaged()
    wire = json.loads(bundle.manifest_bytes) | {"preprocessingVersion": version}
    (bundle.folder / "manifest.json").write_text(json.dumps(wire))
    with pytest.raises(UserMustActError, match="preprocessingVersion") as caught:
        read_bundle(bundle.folder)
    assert caught.value.reason == "BundleMalformed"


def test_validation_data_becomes_the_baseline_of_drift(packaged):
    rng = np.random.default_rng(3)
    data = {"features": rng.normal(size=(600, FEATURES)).astype(np.float32)}
    bundle = packaged(validation=data)
    entry = next(file for file in bundle.manifest.files if file.path == bundle.manifest.drift_baseline)
    held = bundle.file(entry.path).read_bytes()
    assert (entry.digest, entry.size) == (digests.of_bytes(held), len(held))
    baseline = read_baseline(held)
    names = [column.name for column in baseline.columns]
    assert names == [*(f"features[{n}]" for n in range(4)), *(f"scores[{n}]" for n in range(3)), "scores[argmax]"]
    assert {column.rows for column in baseline.columns} == {600}
    # The classifier picks the largest of the first three features.
    decided = np.bincount(data["features"][:, :3].argmax(axis=1), minlength=3)
    assert dict(baseline.columns[-1].buckets) == dict(enumerate(decided.tolist()))
    assert packaged(validation=data).digest == bundle.digest
    assert packaged(version="1.1.0", comparison=Comparison(bundle, data)).manifest.drift_baseline == entry.path

    without = packaged()
    assert without.manifest.drift_baseline is None
    assert not (without.folder / entry.path).exists()


def test_a_baseline_that_was_changed_is_refused(packaged):
    bundle = packaged(validation=features(30))
    path = bundle.file(bundle.manifest.drift_baseline)
    path.write_bytes(path.read_bytes().replace(b'"rows":30', b'"rows":31'))
    with pytest.raises(DigestMismatchError):
        read_bundle(bundle.folder)


def test_columns_of_features_are_named_after_them(packaged):
    named = FeatureBinding("features", document([feature(name, "Mean") for name in "abcd"]), ())
    bundle = packaged(validation=features(60), features=[named])
    baseline = read_baseline(bundle.file(bundle.manifest.drift_baseline).read_bytes())
    assert [column.name for column in baseline.columns[:FEATURES]] == [f"features[{name}]" for name in "abcd"]
