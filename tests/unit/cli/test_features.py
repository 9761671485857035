import json

import pytest
import yaml

from skerry_core import digest as digests
from skerry_core.bundle.folder import read_bundle
from skerry_core.canonical import canonical_json
from skerry_core.features.definition import FeatureSetDocument, OnRejected
from tests.unit.hub.feature_sets import feature, resolved, spec


def write(path, *specs, **metadata):
    objects = [
        {
            "apiVersion": "skerry.dev/v1alpha1",
            "kind": "FeatureSet",
            "metadata": {"name": "presses", **metadata},
            "spec": each,
        }
        for each in specs
    ]
    path.write_text(yaml.safe_dump_all([{"apiVersion": "v1", "kind": "Namespace"}, *objects]))
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "presses.yaml", spec(), namespace="f")


def test_the_digest_is_what_the_hub_publishes(run, file, tmp_path):
    expected = digests.of_bytes(canonical_json(resolved(spec())))
    assert run("features", "digest", file).stdout == f"{expected}\n"
    answer = run("features", "digest", file, "--json", "--output", tmp_path / "presses.json")
    assert json.loads(answer.stdout) == {
        "namespace": "f",
        "name": "presses",
        "version": "1.0.0",
        "digest": expected,
    }
    assert FeatureSetDocument.model_validate_json((tmp_path / "presses.json").read_bytes()) == resolved(spec())
    assert run("features", "digest", tmp_path / "presses.json").stdout == f"{expected}\n"


def test_the_namespace_is_part_of_what_is_named(run, tmp_path):
    file = write(tmp_path / "presses.yaml", spec())
    named = [run("features", "digest", file, *options).stdout for options in ((), ("-n", "default"), ("-n", "f"))]
    assert named[0] == named[1] != named[2]


def test_check_says_what_is_fine_and_what_is_not(run, file, tmp_path):
    bad = write(tmp_path / "bad.yaml", spec(feature(value="rmss")))
    answer = run("features", "check", file, bad)
    assert answer.exit_code == 1
    fine, wrong = answer.stdout.splitlines()
    assert f"{file}: f/presses 1.0.0 is fine: 1 features, sha256:" in fine
    assert wrong.startswith(f"{bad}: ExpressionInvalid: feature mean: rmss is no field")
    told = [json.loads(line) for line in run("features", "check", file, bad, "--json").stdout.splitlines()]
    assert [each.get("reason") for each in told] == [None, "ExpressionInvalid"]
    assert run("features", "check", file).exit_code == 0


def policy(path, *streams):
    told = {"apiVersion": "skerry.dev/v1alpha1", "kind": "SyncPolicy", "metadata": {"name": "floor"}}
    path.write_text(yaml.safe_dump(told | {"spec": {"streams": list(streams)}}))
    return path


def test_check_says_where_no_event_would_count(run, file, tmp_path):
    of_devices = write(tmp_path / "b.yaml", spec(fields=[{"name": "rms", "path": "device.rms", "type": "Float64"}]))
    other = policy(tmp_path / "other.yaml", {"name": "other", "tier": "Bulk"})
    declared = policy(tmp_path / "declared.yaml", {"name": "vibration", "tier": "Bulk"})

    def told(*options):
        answer = run("features", "check", file, of_devices, "--json", *options)
        found = [json.loads(line).get("reason") for line in answer.stdout.splitlines()]
        assert answer.exit_code == any(found)
        return found

    assert told() == [None, None]
    assert told("--sync-policy", other) == ["StreamNotDeclared"] * 2
    assert told("--sync-policy", other, "--sync-policy", declared) == [None, "DevicePathMissing"]
    assert "f/presses 1.0.0: no SyncPolicy declares" in run("features", "check", file, "--sync-policy", other).stdout
    bad = policy(tmp_path / "bad.yaml", {"name": "other", "tier": "Bulk", "devicePth": "subject"})
    answer = run("features", "check", file, "--sync-policy", bad)
    assert (answer.exit_code, "unknown fields: spec.streams.0.devicePth" in answer.stderr) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is no YAML"),
        ("kind: Model", "has no FeatureSet in it"),
        ("kind: FeatureSet", "apiVersion is None"),
        ("{apiVersion: skerry.dev/v1alpha1, kind: FeatureSet, metadata: {name: a}}", "spec: Field required"),
        ("\x80", "is no YAML"),
        ("[" * 3000, "is no YAML"),
    ],
)
def test_a_file_that_is_none_is_refused(run, tmp_path, text, words):
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode("latin-1"))
    answer = run("features", "digest", path)
    assert (answer.exit_code, words in answer.stderr) == (1, True), answer.stderr


def test_fields_that_nobody_reads_are_refused(run, tmp_path):
    file = write(tmp_path / "a.yaml", spec(feature(onStael="Reject"), retention="24h"))
    answer = run("features", "digest", file)
    assert "unknown fields: spec.features.0.onStael, spec.retention" in answer.stderr


def test_a_file_with_several_sets_is_checked_and_not_named(run, tmp_path):
    file = write(tmp_path / "a.yaml", spec(), spec(version="1.1.0"))
    assert len(run("features", "check", file).stdout.splitlines()) == 2
    assert "several FeatureSets" in run("features", "digest", file).stderr


def test_a_document_that_this_engine_does_not_know_is_refused_by_name(run, tmp_path):
    path = tmp_path / "new.json"
    path.write_bytes(canonical_json(resolved(spec()).model_copy(update={"schema_version": 3})))
    assert "FeatureSet f/presses 1.0.0 is of schemaVersion 3" in run("features", "digest", path).stderr


FOUR = spec(*(feature(name, default=0) for name in ("a", "b", "c", "d")))


def packaged(run, model_file, tmp_path, *options):
    return run("package", model_file, "-m", "har", "-v", "1.0.0", "-o", tmp_path / "har", *options)


def test_a_bundle_says_what_fills_its_inputs_and_its_release_asks_for_it(run, model_file, tmp_path):
    file = write(tmp_path / "presses.yaml", FOUR, namespace="f")
    answer = packaged(
        *(run, model_file, tmp_path, "--features", f"features={file}:d,c,b,a"),
        *("--defaults-for", "features", "--clients-may-give", "features"),
    )
    assert answer.exit_code == 0, answer.stderr
    assert "features from f/presses 1.0.0: d, c, b, a" in answer.stdout
    [bound] = read_bundle(tmp_path / "har").manifest.features
    assert bound.features == ("d", "c", "b", "a")
    assert (bound.on_rejected, bound.client_may_give) == (OnRejected.DEFAULTS, True)
    assert bound.feature_set.digest == run("features", "digest", file).stdout.strip()
    (tmp_path / "har" / "manifest.sigstore.json").write_text("{}")
    (tmp_path / "store").mkdir()
    push = ("push", tmp_path / "har", "--to", f"file://{tmp_path / 'store'}", "--release-yaml", "-")
    release = yaml.safe_load(run(*push).stdout)
    assert release["metadata"]["namespace"] == "f"
    assert release["spec"]["featureSets"] == [{"name": "presses", "version": "1.0.0"}]
    assert "its feature sets are in f" in run(*push, "--namespace", "g").stderr


def test_all_features_fill_an_input_unless_some_are_named(run, model_file, tmp_path):
    file = write(tmp_path / "presses.yaml", FOUR)
    assert packaged(run, model_file, tmp_path, "--features", f"features={file}").exit_code == 0
    assert read_bundle(tmp_path / "har").manifest.features[0].features == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--features", "features={}:a,b"), "its features make [-1, 2]"),
        (("--features", "other={}"), "the model has no input 'other'"),
        (("--features", "{}"), "use INPUT=FEATURESET.yaml"),
        (("--features", "features=nowhere.yaml"), "use INPUT=FEATURESET.yaml"),
        (("--defaults-for", "features"), "--features fills no such input"),
    ],
)
def test_features_that_fill_nothing_are_refused(run, model_file, tmp_path, options, words):
    file = write(tmp_path / "presses.yaml", FOUR)
    answer = packaged(run, model_file, tmp_path, *(option.format(file) for option in options))
    assert answer.exit_code != 0
    assert words in " ".join(answer.stderr.replace("\u2502", " ").split())
