"""Five trainings of every version give five times the same verdicts, by the very code that runs on a node.

The canary, its guardrails, the evidence and the judge are the product's, on the story's one `analysis`; only the clock
is passed in, so that half a minute of traffic takes as long as the models do.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

from skerry_api.v1alpha1.model import Model
from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_core.assignment.document import ReleaseRef
from skerry_core.bundle.folder import BundleFolder
from skerry_core.bundle.package import Comparison, package_model
from skerry_core.trust.policy import SignerIdentity
from skerry_core.verdict.port import Outcome, Verdict
from skerry_core.verdict.thresholds import judge
from skerry_edge.inference.canary import Canary
from skerry_edge.inference.loader import Resident
from skerry_edge.inference.onnx_backend import OnnxBackend
from skerry_operator.hub.rollout.defaults import analysis_limits
from tests.e2e.story.author import baseline_of, recipe_of
from tests.e2e.story.client import ROWS_PER_REQUEST
from tests.e2e.story.dataset import Windows, load
from tests.e2e.story.network import INPUT
from tests.e2e.story.traffic import RATE
from tests.e2e.story.training import FAMILIAR, RECIPES, STRANGERS, train

pytestmark = pytest.mark.long

SEEDS = range(1, 6)
START = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST = timedelta(minutes=2)
SIGNER = SignerIdentity(subject="models@wrist.example", issuer="https://oidc.example")
MANIFESTS = Path(__file__).parent / "story" / "manifests.yaml"
EVERYBODY, KNOWN, UNKNOWN = tuple(FAMILIAR) + tuple(STRANGERS), FAMILIAR, STRANGERS


@pytest.fixture(scope="module")
def limits():
    """The story's analysis, read from the YAML that is applied."""
    (model,) = (each for each in yaml.safe_load_all(MANIFESTS.read_text()) if each["kind"] == "Model")
    return analysis_limits(Model.model_validate(model).spec.analysis)


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed{seed}")
def residents(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Resident]:
    work = tmp_path_factory.mktemp("seed")
    bundles: dict[str, BundleFolder] = {}
    for recipe in RECIPES:
        path = work / f"{recipe.version}.onnx"
        path.write_bytes(train(recipe, load(), request.param))
        comparison = None
        if baseline := baseline_of(recipe.version):
            validation = load().validation.only(recipe_of(recipe.version).validated_on)
            comparison = Comparison(bundles[baseline], {INPUT: validation.x})
        packaged = package_model(
            path,
            work / recipe.version,
            model="exercise",
            version=recipe.version,
            created_at=START,
            comparison=comparison,
        )
        bundles[recipe.version] = packaged.bundle
    return {version: _resident(bundle) for version, bundle in bundles.items()}


def _resident(bundle: BundleFolder) -> Resident:
    release = ReleaseRef(
        release=f"exercise-{bundle.manifest.version}",
        version=bundle.manifest.version,
        digest=bundle.digest,
        signature="sha256:" + "0" * 64,
    )
    session = OnnxBackend().load(bundle.file("model.onnx").read_bytes(), bundle.manifest)
    return Resident(release, bundle.manifest, SIGNER, session)


@dataclass
class Clock:
    now: datetime = START


def _requests(windows: Windows) -> Iterator[np.ndarray]:
    """The story's client: all windows in a fixed shuffled order, round and round."""
    rows = windows.x[np.random.default_rng(0).permutation(len(windows))]
    start = 0
    while True:
        yield rows[np.arange(start, start + ROWS_PER_REQUEST) % len(rows)]
        start += ROWS_PER_REQUEST


def verdict_of(champion: Resident, challenger: Resident, windows: Windows, limits) -> Verdict | FailedMetric:
    """Run a canary at the story's rate until it is decided; a FailedMetric if the guardrails ended it."""
    clock, trips = Clock(), []
    canary = Canary(champion, challenger, limits, now=lambda: clock.now, tripped=trips.append)
    try:
        for number, rows in enumerate(_requests(windows)):
            clock.now = START + timedelta(seconds=number / RATE)
            request = hashlib.sha256(str(number).encode()).hexdigest()
            if canary.takes(request):
                canary.answer({INPUT: rows})
            if trips:
                return trips[0]
            verdict = judge(canary.evidence(), limits, canary.expected, clock.now)
            if verdict.outcome is not Outcome.INCONCLUSIVE:
                return verdict
            assert clock.now - START < LONGEST, verdict
    finally:
        canary.stop()
    raise AssertionError("the traffic never ends")


@pytest.mark.parametrize(
    ("champion", "challenger", "people", "outcome", "metric"),
    [
        ("1.0.0", "1.1.0", EVERYBODY, Outcome.PASS, ""),
        ("1.1.0", "1.2.0", EVERYBODY, Outcome.FAIL, "disagreement"),
        ("1.1.0", "1.4.0", KNOWN, Outcome.PASS, ""),
        ("1.1.0", "1.4.0", UNKNOWN, Outcome.FAIL, "disagreement"),
    ],
)
def test_the_verdict_does_not_depend_on_the_seed(residents, limits, champion, challenger, people, outcome, metric):
    windows = load().held_out.only(people)
    verdict = verdict_of(residents[champion], residents[challenger], windows, limits)
    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, verdict.metric) == (outcome, metric), verdict


def test_the_guardrails_end_the_canary_that_gives_nan(residents, limits):
    ended = verdict_of(residents["1.1.0"], residents["1.3.0"], load().held_out, limits)
    assert isinstance(ended, FailedMetric)
    assert ended.name == "non_finite_outputs"
