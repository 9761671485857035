import pytest
import yaml

from skerry_api.v1alpha1.modelrelease import ModelRelease
from skerry_core.bundle.fetch import check_complete, read_manifest, read_reference
from skerry_core.bundle.folder import read_bundle
from skerry_core.store.folder import FolderStore
from skerry_operator.cli.push import _readable


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return FolderStore(folder)


def test_publishes_and_prints_where(run, signed_bundle, store):
    answer = run("push", signed_bundle, "--to", store.uri)
    assert answer.exit_code == 0, answer.stderr
    storage_uri = answer.stdout.strip()
    assert storage_uri == f"{store.uri}/models/har/1.0.0"
    bundle = read_bundle(signed_bundle)
    assert read_manifest(store, read_reference(store, storage_uri, bundle.digest)) == bundle.manifest_bytes
    check_complete(store, bundle.manifest)
    assert "model.onnx" in answer.stderr


def test_says_what_was_there_already(run, signed_bundle, store):
    run("push", signed_bundle, "--to", store.uri)
    assert "(already there)" in run("push", signed_bundle, "--to", store.uri).stderr


@pytest.mark.parametrize("target", ["-", "file"])
def test_writes_the_release_to_apply(run, signed_bundle, store, tmp_path, target):
    target = tmp_path / "release.yaml" if target == "file" else target
    answer = run(
        *("push", signed_bundle, "--to", store.uri, "--path", "other/place"),
        *("--release-yaml", target, "--namespace", "plants"),
    )
    assert answer.exit_code == 0, answer.stderr
    wire = yaml.safe_load(answer.stdout if target == "-" else target.read_text())
    assert (wire["apiVersion"], wire["kind"]) == ("skerry.dev/v1alpha1", "ModelRelease")
    assert wire["metadata"] == {"name": "har-1.0.0", "namespace": "plants"}
    release = ModelRelease.model_validate(wire)
    assert release.spec.storage_uri == f"{store.uri}/other/place"
    assert release.spec.digest == read_bundle(signed_bundle).digest
    assert read_reference(store, release.spec.storage_uri, release.spec.digest)


def test_a_release_carries_notes_and_a_name_that_kubernetes_takes(run, model_file, store, tmp_path):
    folder = tmp_path / "har"
    run("package", model_file, "-m", "har", "-v", "1.0.0-RC.1", "-o", folder, "--notes", "sits better")
    (folder / "manifest.sigstore.json").write_text("{}")
    wire = yaml.safe_load(run("push", folder, "--to", store.uri, "--release-yaml", "-").stdout)
    assert wire["metadata"]["name"] == "har-1.0.0-rc.1"
    assert wire["spec"]["version"] == "1.0.0-RC.1"
    assert wire["spec"]["notes"] == "sits better"


@pytest.mark.parametrize("version", ["", "2.1.0"])
def test_a_release_names_the_preprocessing_as_the_manifest_does(run, model_file, store, tmp_path, version):
    folder = tmp_path / "har"
    run("package", model_file, "-m", "har", "-v", "1.0.0", "-o", folder, "--preprocessing-version", version)
    (folder / "manifest.sigstore.json").write_text("{}")
    wire = yaml.safe_load(run("push", folder, "--to", store.uri, "--release-yaml", "-").stdout)
    assert wire["spec"].get("preprocessingVersion", "") == version
    signed = read_bundle(folder).manifest.preprocessing_version
    assert ModelRelease.model_validate(wire).spec.preprocessing_version == signed


def test_an_unsigned_bundle_is_refused(run, bundle, store):
    answer = run("push", bundle, "--to", store.uri)
    assert answer.exit_code == 1
    assert "run `skerry sign`" in answer.stderr
    assert list(store.list("")) == []


@pytest.mark.parametrize(
    ("options", "env", "message"),
    [
        ((), {}, "Missing option"),
        (("--to", "s3://skerry"), {}, "needs --endpoint"),
        (("--to", "s3://skerry", "--endpoint", "http://localhost:1"), {}, "AWS_ACCESS_KEY_ID"),
        (("--to", "s3://skerry"), {"SKERRY_ENDPOINT": "http://localhost:1", "AWS_ACCESS_KEY_ID": "a"}, "AWS_SECRET"),
    ],
)
def test_usage_errors(run, signed_bundle, options, env, message):
    answer = run("push", signed_bundle, *options, env=env)
    assert answer.exit_code == 2
    assert message in answer.stderr


@pytest.mark.parametrize("to", ["http://host/bucket", "skerry", "file://host/path", "s3://"])
def test_what_is_no_store_is_one_clear_line(run, signed_bundle, to):
    env = {"SKERRY_ENDPOINT": "http://localhost:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    answer = run("push", signed_bundle, "--to", to, env=env)
    assert answer.exit_code == 1
    assert "is not a store" in answer.stderr


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1 << 20, "1 MiB"), (3 << 40, "3072 GiB")]
)
def test_sizes_are_readable(size, expected):
    assert _readable(size) == expected
