"""ModelRelease: is it whole, and may it run? Verified before any site hears of it, and again where it is loaded."""

from collections.abc import Mapping

from skerry_api.conditions import Outcome, Progressing, Stalled, Waiting, conditions_for
from skerry_api.v1alpha1.featureset import FeatureSet
from skerry_api.v1alpha1.modelrelease import ModelRelease, ReleasePhase
from skerry_api.v1alpha1.quarantine import Quarantine, QuarantineScope
from skerry_core.bundle.fetch import check_complete, read_manifest, read_reference, read_signature
from skerry_core.bundle.manifest import Manifest
from skerry_core.errors import UserMustActError, WaitError
from skerry_core.store.errors import StoreBucketMissingError, StoreCredentialsRefusedError
from skerry_operator.hub.feature_set.versions import check_release
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.kube.resources import MODELS

# A cause outside may go away any moment; what is refused stays so more often than not.
_WAITING = 5.0
_REFUSED = 15.0
# These say nothing of the release.
_ABOUT_THE_STORE = (StoreBucketMissingError, StoreCredentialsRefusedError)
_FINAL = frozenset({ReleasePhase.APPROVED, ReleasePhase.ROLLED_BACK, ReleasePhase.SUPERSEDED})


class ReleaseReconciler:
    """Verifies releases that aren't finished, once for each policy; what it refuses it looks at again now and then."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._verified: dict[tuple[Key, str], str] = {}

    def __call__(self, key: Key) -> float | None:
        """Verify one release and say so in its status; the rollout's part of the status is the model's affair."""
        release = self._hub.inventory.get(ModelRelease, key.name, key.namespace)
        if release is None or release.status.phase in _FINAL:
            return None
        model = Key(MODELS, key.namespace, release.spec.model)
        policy = self._hub.trust.active
        identity = (release.spec.digest, policy.digest if policy else "")
        if release.status.signature and self._verified.get((key, identity[1])) == identity[0]:
            self._hub.enqueue(model, 0)
            return None
        try:
            signature, signer = self._verify(release)
        except _ABOUT_THE_STORE as error:
            self._hold(release, Stalled(error.reason, str(error)))
            return _WAITING
        except UserMustActError as error:
            self._refuse(release, error)
            self._hub.enqueue(model, 0)
            return _REFUSED
        except WaitError as error:
            self._hold(release, Waiting(error.reason, str(error)))
            return _WAITING
        self._verified[key, identity[1]] = identity[0]
        self._accept(release, signature, signer)
        self._hub.enqueue(model, 0)
        return None

    def _verify(self, release: ModelRelease) -> tuple[str, str]:
        """The digest of the signature, and who made it; raises what `skerry_core` raises."""
        store, spec = self._hub.store, release.spec
        self._check_quarantine(release)
        if (policy := self._hub.trust.active) is None:
            raise WaitError("NoTrustPolicy", "no TrustPolicy counts yet: apply one that is signed with the policy key")
        reference = read_reference(store, spec.storage_uri, spec.digest)
        verified = self._hub.verifier.verify(
            read_manifest(store, reference),
            read_signature(store, reference),
            namespace=release.metadata.namespace or "",
            model=spec.model,
            version=spec.version,
            policy=policy.document,
        )
        check_complete(store, verified.manifest)
        _check_preprocessing(spec.preprocessing_version, verified.manifest.preprocessing_version)
        self._check_feature_sets(release, verified.manifest)
        return reference.signature.digest, verified.identity.subject

    def _check_feature_sets(self, release: ModelRelease, manifest: Manifest) -> None:
        """What it is served with is what it was trained on."""
        namespace = release.metadata.namespace or ""
        check_release(
            namespace,
            release.spec.feature_sets,
            manifest.feature_sets(),
            lambda name: self._hub.inventory.get(FeatureSet, name, namespace),
        )

    def _check_quarantine(self, release: ModelRelease) -> None:
        """A quarantined digest can't go out again, under whatever name."""
        if release.status.started_at is not None:
            return  # under way: rolling it back is the model's affair
        for quarantine in self._hub.inventory.all(Quarantine):
            spec = quarantine.spec
            if spec.digest == release.spec.digest and spec.scope is QuarantineScope.RELEASE:
                raise UserMustActError(
                    "Quarantined",
                    f"{spec.digest} is quarantined since {spec.since:%Y-%m-%d %H:%M} UTC ({spec.reason.name}): "
                    "release a corrected version",
                )

    def _accept(self, release: ModelRelease, signature: str, signer: str) -> None:
        phase = ReleasePhase.PENDING if release.status.phase is ReleasePhase.REFUSED else release.status.phase
        changes = {"phase": phase, "signature": signature, "signer": signer}
        if phase is ReleasePhase.PENDING:
            self._write(release, Progressing("Verified", f"signed by {signer}; waiting for its turn"), changes)
        else:
            self._write(release, None, changes)

    def _refuse(self, release: ModelRelease, error: UserMustActError) -> None:
        changes = {"phase": ReleasePhase.REFUSED, "reason": str(error.reason)}
        self._write(release, Stalled(str(error.reason), str(error)), changes)

    def _hold(self, release: ModelRelease, outcome: Stalled | Waiting) -> None:
        """A release that was verified before goes on meanwhile: what sites load, they verify themselves."""
        if release.status.signature is None or release.status.phase is ReleasePhase.REFUSED:
            self._write(release, outcome, {"phase": ReleasePhase.PENDING, "reason": outcome.reason})

    def _write(self, release: ModelRelease, outcome: Outcome | None, changes: Mapping[str, object]) -> None:
        generation = release.metadata.generation
        update = dict(changes)
        if outcome is not None:
            update.setdefault("reason", "")
            update |= {
                "observed_generation": generation,
                "conditions": conditions_for(
                    outcome, generation=generation, now=self._hub.now(), previous=release.status.conditions
                ),
            }
        self._hub.statuses.write(release, release.status.model_copy(update=update))


def _check_preprocessing(asked: str | None, signed: str | None) -> None:
    if asked != signed:
        raise UserMustActError(
            "PreprocessingVersionDiffers",
            f"spec.preprocessingVersion says {asked or 'none'}, and the signed manifest {signed or 'none'}: create the "
            "ModelRelease that `skerry push --release-yaml` writes",
        )
