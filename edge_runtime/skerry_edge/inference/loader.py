"""From a release's digests to a warm session: every byte that is loaded is the byte that was verified."""

from collections.abc import Callable
from dataclasses import dataclass

from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_core.assignment.document import ReleaseRef
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES, Manifest, TensorSpec
from skerry_core.errors import SkerryError, UserMustActError, WaitError
from skerry_core.trust.errors import TrustError
from skerry_core.trust.identity import check
from skerry_core.trust.policy import PolicyDocument, SignerIdentity
from skerry_core.trust.verifier import ReleaseVerifier
from skerry_edge.features.materializer import Standing
from skerry_edge.inference.activation.state import LoadFailure, ModelKey
from skerry_edge.inference.backend import Backend, Session
from skerry_edge.inference.store_folder import BlobMissingError, StoreFolder

_WAITED_FOR = frozenset({Standing.NOT_READY, Standing.STREAM_NOT_DECLARED, Standing.DEVICE_PATH_MISSING})


class FeaturesWaitError(WaitError):
    """A feature set that a release needs isn't here, gets no events, or hasn't caught up with its stream."""


@dataclass(frozen=True)
class Resident:
    """A release in memory, and who signed it."""

    release: ReleaseRef
    manifest: Manifest
    signer: SignerIdentity
    session: Session

    def refused_by(self, policy: PolicyDocument, key: ModelKey) -> TrustError | None:
        """Why a newer policy refuses what an older one let load; None if it doesn't."""
        try:
            check(
                policy,
                namespace=key.namespace,
                model=key.name,
                version=self.release.version,
                digest=self.release.digest,
                signer=self.signer,
            )
        except TrustError as error:
            return error
        return None


class Loader:
    """Loads releases from the store folder; used by one thread at a time."""

    def __init__(
        self,
        store: StoreFolder,
        verifier: ReleaseVerifier,
        backend: Backend,
        standing: Callable[[str], tuple[Standing, str]] = lambda _: (Standing.WARM, ""),
    ) -> None:
        """`standing` tells where a version of a feature set is, by digest."""
        self._store = store
        self._verifier = verifier
        self._backend = backend
        self._standing = standing

    def load(
        self, key: ModelKey, release: ReleaseRef, policy: PolicyDocument, like: Manifest | None, *, proven: bool
    ) -> Resident:
        """Verify and load; `like` is the champion's manifest, whose interface a challenger must have.

        `proven` is a release that has served here before.

        Raises SkerryError; `failure_of` says what it means for the release.
        """
        # (1) The manifest and the signature over it, each by its digest.
        manifest = self._store.blob(release.digest, MAX_MANIFEST_BYTES)
        signature = self._store.blob(release.signature, MAX_SIGNATURE_BYTES)
        # (2) Signed by an identity that the policy allows, for this model and version.
        verified = self._verifier.verify(
            manifest,
            signature,
            namespace=key.namespace,
            model=key.name,
            version=release.version,
            policy=policy,
        )
        # (3) Comparable with what serves.
        if like is not None:
            _require_same_interface(verified.manifest, like)
        if not proven:
            self._require_features(verified.manifest, challenger=like is not None)
        # (4) The model's bytes, read once and digested, become the session.
        files = {file.path: file for file in verified.manifest.files}
        entry = files.get(verified.manifest.entrypoint)
        if entry is None:
            raise UserMustActError("ManifestMalformed", "the manifest's entrypoint is none of its files")
        model = self._store.blob(entry.digest, entry.size)
        session = self._backend.load(model, verified.manifest)
        return Resident(release, verified.manifest, verified.identity, session)

    def _require_features(self, manifest: Manifest, *, challenger: bool) -> None:
        """A challenger waits until its features have caught up: values that are still to come would be held against it.

        A first release waits until they are here at all and events can count in them, as it would count as serving
        while it answers nobody; inputs that clients may give keep it from nothing. Either is refused where it would
        wait forever: the engine here doesn't know a set's schema version, say. Who has served before never waits.
        """
        for binding in manifest.features:
            if binding.client_may_give and not challenger:
                continue
            named = binding.feature_set
            standing, why = self._standing(named.digest)
            told = f"{named.namespace}/{named.name} {named.version}: {why}"
            if standing is Standing.REFUSED:
                raise UserMustActError(standing, told)
            if standing in _WAITED_FOR or (standing is Standing.WARMING and challenger):
                raise FeaturesWaitError(standing, told)


def _require_same_interface(challenger: Manifest, champion: Manifest) -> None:
    """A canary runs both on the same request and compares their answers: another interface needs another model.

    Inputs that are filled from feature sets are no clients' business, so they may differ.
    """
    same = (
        _given_by_clients(challenger) == _given_by_clients(champion)
        and sorted(challenger.outputs, key=lambda spec: spec.name)
        == sorted(champion.outputs, key=lambda spec: spec.name)
        and challenger.decision.output == champion.decision.output
    )
    if not same:
        raise UserMustActError(
            "InterfaceChanged",
            f"inputs, outputs or decision of {challenger.version} differ from {champion.version}, which serves: "
            "clients would break; release it as another Model",
        )


def _given_by_clients(manifest: Manifest) -> list[TensorSpec]:
    bound = {binding.input for binding in manifest.features}
    return sorted((spec for spec in manifest.inputs if spec.name not in bound), key=lambda spec: spec.name)


def failure_of(error: SkerryError) -> LoadFailure:
    """What an error in loading means: wait for sync, refuse for good, or try again when something changes."""
    message = str(error)[:1024]
    if isinstance(error, BlobMissingError):
        return LoadFailure(ModelPhase.DOWNLOADING, "Downloading", message, missing=error.digest)
    if isinstance(error, FeaturesWaitError):
        return LoadFailure(ModelPhase.WAITING, error.reason, message)
    phase = ModelPhase.REFUSED if isinstance(error, UserMustActError) else ModelPhase.STALLED
    return LoadFailure(phase, error.reason, message)
