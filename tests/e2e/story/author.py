"""The model team's part: train, package, sign, push."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from tests.e2e.story import motion
from tests.e2e.story.command_line import skerry
from tests.e2e.story.dataset import load
from tests.e2e.story.network import INPUT
from tests.e2e.story.platform import BUCKET, MODEL, MODEL_TEAM, MOTION, NAMESPACE
from tests.e2e.story.training import RECIPES, Recipe, train
from tests.sigstore_instance import PrivateSigstore


@dataclass(frozen=True)
class Author:
    """Makes bundles in `work`/bundles; each version is compared with the last good one before it."""

    work: Path
    sigstore: PrivateSigstore
    seed: int = 1

    def bundle(self, version: str) -> Path:
        """Folder of a version's bundle."""
        return self.work / "bundles" / version

    def model_bytes(self, version: str) -> bytes:
        """The ONNX graph that a version's bundle holds."""
        return (self.bundle(version) / "model.onnx").read_bytes()

    def train(self, version: str) -> Path:
        """Train a version; returns the ONNX file."""
        path = self.work / "trained" / f"{version}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(train(recipe_of(version), load(), self.seed))
        return path

    def package(
        self, recipe_version: str, trained: Path, *, model: str = MODEL, version: str = "", folder: Path | None = None
    ) -> Path:
        """Package a trained model, measured against the release that its recipe is to replace."""
        recipe = recipe_of(recipe_version)
        version = version or recipe_version
        folder = folder or self.bundle(version)
        options: list[str | Path] = []
        if model == MODEL and (baseline := baseline_of(recipe_version)):
            validation = self.work / "trained" / f"{recipe_version}-validation.npz"
            np.savez(validation, **{INPUT: load().validation.only(recipe.validated_on).x})
            options = ["--baseline", self.bundle(baseline), "--validation", validation]
        skerry(
            "package", trained, "--model", model, "--version", version,
            "--output", folder, "--notes", recipe.summary, *options,
        )  # fmt: skip
        return folder

    def make_motion(self) -> Path:
        """Train, package and sign the model that is fed by features."""
        trained = self.work / "trained" / f"{MOTION}.onnx"
        trained.parent.mkdir(parents=True, exist_ok=True)
        trained.write_bytes(motion.train(load().train, self.seed))
        folder = self.bundle(f"{MOTION}-{motion.VERSION}")
        skerry(
            "package", trained, "--model", MOTION, "--version", motion.VERSION, "--output", folder,
            "--features", f"{motion.INPUT}={motion.DEFINITION}:{','.join(motion.FEATURES)}",
        )  # fmt: skip
        self.sign(folder)
        return folder

    def sign(self, folder: Path, subject: str = MODEL_TEAM) -> None:
        """Sign a bundle at the private Sigstore test instance, as `subject`."""
        skerry(
            "sign", folder, "--trust-config", self.work / "trust_config.json",
            environment={"SIGSTORE_ID_TOKEN": self.sigstore.token(subject)},
        )  # fmt: skip

    def push(self, folder: Path, environment: dict[str, str], path: str = "") -> str:
        """Push a signed bundle and return its ModelRelease in YAML."""
        where = ["--path", path] if path else []
        return skerry(
            "push", folder, "--to", f"s3://{BUCKET}", "--namespace", NAMESPACE, "--release-yaml", "-", *where,
            environment=environment,
        )  # fmt: skip

    def make(self, version: str) -> Path:
        """Train, package and sign a version."""
        folder = self.package(version, self.train(version))
        self.sign(folder)
        return folder


def recipe_of(version: str) -> Recipe:
    """The recipe of a version."""
    return next(recipe for recipe in RECIPES if recipe.version == version)


def baseline_of(version: str) -> str:
    """The version that serves when this one comes out: v1.0.0 before v1.1.0, then v1.1.0; none for the first."""
    return {"1.0.0": "", "1.1.0": "1.0.0"}.get(version, "1.1.0")


def digest_of(release: str) -> str:
    """The digest that a ModelRelease in YAML names."""
    digest: str = yaml.safe_load(release)["spec"]["digest"]
    return digest
