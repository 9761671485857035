import json

import numpy as np
import pytest
import typer
from onnx import helper

from skerry_core.bundle.folder import read_bundle
from skerry_core.bundle.manifest import Decision, DecisionKind
from skerry_operator.cli.package import parse_decision
from tests.unit.bundle.models import FEATURES, classifier, linear


def test_makes_a_bundle_and_says_what_is_in_it(run, model_file, tmp_path):
    folder = tmp_path / "out" / "har"
    answer = run("package", model_file, "-m", "har", "-v", "1.0.0", "-o", folder, "--notes", "first")
    assert answer.exit_code == 0, answer.stderr
    bundle = read_bundle(folder)
    assert bundle.manifest.notes == "first"
    for shown in (bundle.digest, "features FP32 [-1, 4]", "scores FP32 [-1, 3]", "argmax of scores", "MatMul"):
        assert shown in answer.stdout
    assert answer.stderr == f"next: skerry sign {folder}\n"


def test_prints_json(run, model_file, tmp_path):
    answer = run("package", model_file, "-m", "har", "-v", "1.0.0", "-o", tmp_path / "out", "--json")
    printed = json.loads(answer.stdout)
    assert printed["digest"] == read_bundle(tmp_path / "out").digest
    assert printed["manifest"]["model"] == "har"


def test_names_the_preprocessing_in_the_manifest(run, model_file, tmp_path):
    options = ("package", model_file, "-m", "har", "-v", "1.0.0", "-o", tmp_path / "out")
    answer = run(*options, "--preprocessing-version", "2.1.0")
    assert answer.exit_code == 0, answer.stderr
    assert "by preprocessing 2.1.0" in answer.stdout
    assert read_bundle(tmp_path / "out").manifest.preprocessing_version == "2.1.0"
    assert "by preprocessing" not in run(*options).stdout
    assert read_bundle(tmp_path / "out").manifest.preprocessing_version is None


def test_measures_against_a_baseline(run, bundle, model_file, validation_file, tmp_path):
    model_file.write_bytes(classifier(favoured=1))
    answer = run(
        *("package", model_file, "-m", "har", "-v", "1.1.0", "-o", tmp_path / "har-1.1.0"),
        *("--baseline", bundle, "--validation", validation_file),
    )
    assert answer.exit_code == 0, answer.stderr
    assert "66.67% of 300 rows" in answer.stdout
    expected = read_bundle(tmp_path / "har-1.1.0").manifest.expected_disagreement
    assert (expected.baseline, expected.samples) == (read_bundle(bundle).digest, 300)


def test_warns_of_answers_that_are_not_finite(run, bundle, model_file, tmp_path):
    features = np.ones((10, FEATURES), np.float32)
    features[:2] = -1
    np.savez(tmp_path / "negative.npz", features=features)
    model_file.write_bytes(linear(np.eye(FEATURES, 3), node=helper.make_node("Sqrt", ["scores_in"], ["scores"])))
    answer = run(
        *("package", model_file, "-m", "har", "-v", "1.1.0", "-o", tmp_path / "har-1.1.0"),
        *("--baseline", bundle, "--validation", tmp_path / "negative.npz"),
    )
    assert answer.exit_code == 0, answer.stderr
    assert "warning: 2 rows of validation data got no finite answer" in answer.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-m", "Har", "-v", "1.0.0"), "--model 'Har'"),
        (("-m", "har", "-v", "1.0"), "--version '1.0'"),
        (("-m", "har", "-v", "1.0.0", "--preprocessing-version", "2"), "--preprocessing-version '2'"),
        (("-m", "har", "-v", "1.0.0", "--decision", "largest"), "is no decision"),
        (("-m", "har", "-v", "1.0.0", "--baseline", "."), "needs --validation"),
        (("-m", "har", "-v", "1.0.0", "--baseline", "missing"), "does not exist"),
    ],
)
def test_usage_errors(run, model_file, tmp_path, options, message):
    options = [model_file if option == "MODEL" else option for option in options]
    answer = run("package", model_file, "-o", tmp_path / "out", *options)
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"no archive", b"PK\x03\x04broken"])
def test_validation_data_is_an_npz_file(run, bundle, model_file, tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    answer = run(
        *("package", model_file, "-m", "har", "-v", "1.1.0", "-o", tmp_path / "out"),
        *("--baseline", bundle, "--validation", tmp_path / "data.npz"),
    )
    assert answer.exit_code == 1
    assert "is no .npz file of plain arrays" in answer.stderr


def test_pickled_arrays_are_refused(run, bundle, model_file, tmp_path):
    np.savez(tmp_path / "data.npz", features=np.array([{"a": 1}], dtype=object))
    answer = run(
        *("package", model_file, "-m", "har", "-v", "1.1.0", "-o", tmp_path / "out"),
        *("--baseline", bundle, "--validation", tmp_path / "data.npz"),
    )
    assert answer.exit_code == 1
    assert "is no .npz file of plain arrays" in answer.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("argmax:scores", Decision(kind=DecisionKind.ARGMAX, output="scores")),
        ("argmax:a:b", Decision(kind=DecisionKind.ARGMAX, output="a:b")),
        ("tolerance:y:0.5", Decision(kind=DecisionKind.TOLERANCE, output="y", tolerance=0.5)),
        ("tolerance:a:b:1e-3", Decision(kind=DecisionKind.TOLERANCE, output="a:b", tolerance=0.001)),
    ],
)
def test_reads_decisions(text, expected):
    assert parse_decision(text) == expected


@pytest.mark.parametrize(
    "text", ["argmax", "argmax:", "tolerance:y", "tolerance:y:-1", "tolerance:y:nan", "tolerance:y:inf", "max:y", ":"]
)
def test_refuses_what_is_no_decision(text):
    with pytest.raises(typer.BadParameter, match="is no decision"):
        parse_decision(text)
