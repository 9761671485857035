from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skerry_core.bundle.folder import BundleFolder, read_bundle, write_signature
from skerry_core.bundle.package import package_model
from tests.unit.bundle.models import classifier

NOW = datetime(2026, 8, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def packaged(tmp_path) -> Callable[..., BundleFolder]:
    """Package a model (the classifier, unless told) as har, version 1.0.0, or as told."""

    def package(data: bytes | None = None, *, version: str = "1.0.0", model: str = "har", **other) -> BundleFolder:
        source = tmp_path / "source.onnx"
        source.write_bytes(classifier() if data is None else data)
        folder = tmp_path / f"{model}-{version}"
        return package_model(source, folder, model=model, version=version, created_at=NOW, **other).bundle

    return package


@pytest.fixture
def signed(packaged) -> Callable[..., BundleFolder]:
    """Package, and put a signature beside it; whether it is a good one is not for store and bundle to say."""

    def sign(*args, signature: bytes = b'{"signature": 1}', **other) -> BundleFolder:
        bundle = packaged(*args, **other)
        write_signature(bundle, signature)
        return read_bundle(Path(bundle.folder))

    return sign
