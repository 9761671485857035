"""Which versions of a FeatureSet are published, and whether a release's are among them. Pure."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

from skerry_api.v1alpha1.featureset import MAX_VERSIONS, FeatureSet, PublishedVersion
from skerry_api.v1alpha1.modelrelease import FeatureSetVersion, ModelRelease
from skerry_core.errors import UserMustActError, WaitError
from skerry_core.features.definition import FeatureSetRef


def with_version(
    versions: Sequence[PublishedVersion], version: str, digest: str, *, named: Collection[str], now: datetime
) -> tuple[PublishedVersion, ...]:
    """The versions and this one, at most MAX_VERSIONS: those that no release names (`named`) go first, then the oldest.

    UserMustActError VersionTaken if this version is published with another content.
    """
    if (known := find_version(versions, version)) is not None:
        if known.digest != digest:
            raise UserMustActError(
                "VersionTaken",
                f"version {version} is published as {known.digest} and would be {digest}: give spec.version a new one",
            )
        return tuple(versions)
    kept = [*versions, PublishedVersion(version=version, digest=digest, published_at=now)]
    while len(kept) > MAX_VERSIONS:
        kept.remove(next((each for each in kept[:-1] if each.version not in named), kept[0]))
    return tuple(kept)


def find_version(versions: Iterable[PublishedVersion], version: str) -> PublishedVersion | None:
    """One of them by its version."""
    return next((each for each in versions if each.version == version), None)


def named_by(releases: Iterable[ModelRelease], namespace: str, name: str) -> set[str]:
    """Versions of a set that releases in its namespace name."""
    return {
        each.version
        for release in releases
        if release.metadata.namespace == namespace
        for each in release.spec.feature_sets
        if each.name == name
    }


def check_release(
    namespace: str,
    asked: Collection[FeatureSetVersion],
    trained_on: Sequence[FeatureSetRef],
    found: Callable[[str], FeatureSet | None],
) -> None:
    """Hold what a release asks for, and what its signed manifest was trained on, against what is published.

    `found` gives a FeatureSet of the namespace by its name. UserMustActError FeatureSetsDiffer, FeatureSetElsewhere or
    FeatureSetDigestDiffers; WaitError FeatureSetNotPublished.
    """
    for ref in trained_on:
        if ref.namespace != namespace:
            raise UserMustActError(
                "FeatureSetElsewhere",
                f"the model was trained on {ref.namespace}/{ref.name}: a release's feature sets are in its own "
                f"namespace, so apply the FeatureSet in {namespace} and package the model with that one",
            )
    wanted = {(each.name, each.version) for each in asked}
    signed = {(ref.name, ref.version) for ref in trained_on}
    if wanted != signed:
        raise UserMustActError(
            "FeatureSetsDiffer",
            f"spec.featureSets says {_list(wanted)}, and the signed manifest {_list(signed)}: create the ModelRelease "
            "that `skerry push --release-yaml` writes",
        )
    for ref in trained_on:
        feature_set = found(ref.name)
        published = find_version(feature_set.status.versions, ref.version) if feature_set is not None else None
        if published is None:
            raise WaitError(
                "FeatureSetNotPublished",
                f"FeatureSet {namespace}/{ref.name} {ref.version} is not published: apply the one that the model was "
                "packaged with",
            )
        if published.digest != ref.digest:
            raise UserMustActError(
                "FeatureSetDigestDiffers",
                f"the model was packaged with {ref.name} {ref.version} as {ref.digest}, published is "
                f"{published.digest}: package it with the published one, or publish the other as a new version",
            )


def _list(sets: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(sets)) or "none"
