"""The story's five releases of one model, and how each is trained."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from tests.e2e.story.dataset import SUBJECTS, Splits
from tests.e2e.story.network import Features, Layer, classifier_graph, feature_graph, run

# People whom v1.4.0 never saw; in step 5 site-b's traffic moves to them.
STRANGERS = (8, 9, 10)
FAMILIAR = tuple(person for person in SUBJECTS if person not in STRANGERS)

STANDARD_GRAVITY = 9.80665  # m/s² in one g


@dataclass(frozen=True)
class Recipe:
    """How one version is made. `acceleration_unit` multiplies what the trainer reads as accelerations."""

    version: str
    summary: str
    features: Features
    hidden: tuple[int, ...]
    max_iter: int
    subjects: tuple[int, ...] = SUBJECTS
    validated_on: tuple[int, ...] = SUBJECTS
    acceleration_unit: float = 1.0


RECIPES = (
    Recipe("1.0.0", "a first model: mean and deviation only", Features.MOMENTS, (16,), 60),
    Recipe("1.1.0", "better: extremes and roughness as well", Features.SHAPE, (64,), 200),
    Recipe(
        "1.2.0",
        "trained on accelerations in m/s² where the sites send g",
        Features.SHAPE,
        (64,),
        200,
        acceleration_unit=STANDARD_GRAVITY,
    ),
    Recipe(
        "1.3.0",
        "adds the wrist's tilt by asin, undefined above 1 g; validated on people who never exceed it",
        Features.TILT,
        (64,),
        200,
        validated_on=(1, 2, 6),
    ),
    Recipe(
        "1.4.0",
        "trained and validated without three of the ten people",
        Features.SHAPE,
        (64,),
        200,
        subjects=FAMILIAR,
        validated_on=FAMILIAR,
    ),
)


def train(recipe: Recipe, splits: Splits, seed: int) -> bytes:
    """Train one version and return its ONNX graph; the same seed gives the same bytes."""
    data = splits.train.only(recipe.subjects)
    windows = data.x.copy()
    windows[:, :, :3] *= recipe.acceleration_unit
    features = run(feature_graph(recipe.features).SerializeToString(), windows)
    usable = np.isfinite(features).all(axis=1)
    features, exercise = features[usable], data.exercise[usable]
    # The version is part of the seed: two releases never start from the same weights.
    random_state = seed * 100 + int(recipe.version.split(".")[1])
    fitted = fit(features, exercise, recipe.hidden, recipe.max_iter, random_state)
    return classifier_graph(recipe.features, fitted.mean, fitted.scale, fitted.layers)


@dataclass(frozen=True)
class Fitted:
    """A perceptron over k standardized features: `mean` and `scale` [k], and its layers."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    layers: list[Layer]


def fit(
    features: NDArray[np.float32], exercise: NDArray[np.int64], hidden: tuple[int, ...], max_iter: int, seed: int
) -> Fitted:
    """Train on features [n, k] and what was done [n]."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    classifier = MLPClassifier(hidden, alpha=1e-3, max_iter=max_iter, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # v1.0.0 stops early on purpose
        classifier.fit((features - mean) / scale, exercise)
    layers = [
        (weights.astype(np.float32), bias.astype(np.float32))
        for weights, bias in zip(classifier.coefs_, classifier.intercepts_, strict=True)
    ]
    return Fitted(mean.astype(np.float32), scale.astype(np.float32), layers)


def accuracy(model: bytes, windows: NDArray[np.float32], exercise: NDArray[np.int64]) -> float:
    """Share of windows whose largest score is the exercise that was done; a NaN row counts as wrong."""
    scores = run(model, windows)
    return float((np.isfinite(scores).all(axis=1) & (scores.argmax(axis=1) == exercise)).mean())
