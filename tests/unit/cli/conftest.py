from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from skerry_operator.cli import cluster
from skerry_operator.cli.main import app
from skerry_operator.kube.memory import MemoryKube
from tests.unit.bundle.models import FEATURES, classifier

HUB_CA = "-----BEGIN CERTIFICATE-----\nhub\n-----END CERTIFICATE-----\n"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """Nothing of the developer's own settings; wide enough that tables aren't folded."""
    for name in ("SKERRY_STORE", "SKERRY_ENDPOINT", "SKERRY_DEBUG", "SIGSTORE_ID_TOKEN", "KUBECONFIG", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def run() -> Callable:
    """Run `skerry` with arguments; the answer has exit_code, stdout and stderr."""

    def run(*args: object, **options):
        return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="skerry", **options)

    return run


@pytest.fixture
def kube(monkeypatch) -> MemoryKube:
    """The hub's API server, reached by any context whose name isn't `nowhere`."""
    kube = MemoryKube()
    monkeypatch.setattr(
        cluster, "connect", lambda context="": cluster.Cluster(kube, "plants", "https://hub.example.com:6443", HUB_CA)
    )
    return kube


@pytest.fixture
def model_file(tmp_path) -> Path:
    path = tmp_path / "source.onnx"
    path.write_bytes(classifier())
    return path


@pytest.fixture
def validation_file(tmp_path) -> Path:
    features = np.zeros((300, FEATURES), np.float32)
    features[np.arange(300), np.arange(300) % 3] = 1
    features[:, 3] = 2
    path = tmp_path / "validation.npz"
    np.savez(path, features=features)
    return path


@pytest.fixture
def bundle(run, model_file, tmp_path) -> Path:
    """The folder of har 1.0.0, packaged by the command line, unsigned."""
    folder = tmp_path / "har-1.0.0"
    answer = run("package", model_file, "--model", "har", "--version", "1.0.0", "--output", folder)
    assert answer.exit_code == 0, answer.stderr
    return folder


@pytest.fixture
def signed_bundle(bundle) -> Path:
    (bundle / "manifest.sigstore.json").write_text("{}")
    return bundle
