"""What a trust policy allows: may this release run, and may this identity have signed it. Pure decisions."""

from fnmatch import fnmatchcase

from semver import Version

from skerry_core.trust.errors import Refusal, TrustError
from skerry_core.trust.policy import Binding, PolicyDocument, SignerIdentity


def check(
    policy: PolicyDocument, *, namespace: str, model: str, version: str, digest: str, signer: SignerIdentity
) -> None:
    """Refuse a release whose signer is already known, as when a new policy meets what serves.

    Raises TrustError with the reasons of `check_release` and `check_signer`.
    """
    check_release(policy, namespace=namespace, model=model, version=version, digest=digest)
    check_signer(policy, namespace=namespace, model=model, signer=signer)


def check_release(policy: PolicyDocument, *, namespace: str, model: str, version: str, digest: str) -> None:
    """Refuse a release that no signature could save.

    Raises TrustError `DigestDenied`, `ModelNotListed` or `VersionTooOld`.
    """
    if digest in policy.deny_list.digests:
        raise TrustError(Refusal.DIGEST_DENIED, f"trust policy {policy.serial} denies {digest}")
    if not _bindings(policy, namespace, model):
        raise TrustError(
            Refusal.MODEL_NOT_LISTED, f"trust policy {policy.serial} names no signer for model {namespace}/{model}"
        )
    for minimum in policy.minimum_versions:
        if (minimum.namespace, minimum.model) == (namespace, model) and _older(version, minimum.version):
            raise TrustError(
                Refusal.VERSION_TOO_OLD,
                f"{namespace}/{model} {version} is below {minimum.version}, the least that trust policy "
                f"{policy.serial} accepts",
            )


def check_signer(policy: PolicyDocument, *, namespace: str, model: str, signer: SignerIdentity) -> None:
    """Refuse an identity that may not sign this model: subject and issuer must both be equal, letter by letter.

    Raises TrustError `IdentityDenied` or `SignerNotAllowed`.
    """
    who = f"{signer.subject} (issuer {signer.issuer})"
    if signer in policy.deny_list.identities:
        raise TrustError(Refusal.IDENTITY_DENIED, f"trust policy {policy.serial} denies {who}")
    if not any(signer in binding.identities for binding in _bindings(policy, namespace, model)):
        raise TrustError(
            Refusal.SIGNER_NOT_ALLOWED, f"{who} may not sign {namespace}/{model} under trust policy {policy.serial}"
        )


def _bindings(policy: PolicyDocument, namespace: str, model: str) -> list[Binding]:
    return [
        binding
        for binding in policy.bindings
        if binding.namespace == namespace and any(fnmatchcase(model, glob) for glob in binding.models)
    ]


def _older(version: str, minimum: str) -> bool:
    """Compare by semver precedence; a version that semver can't read counts as older than any minimum."""
    try:
        return bool(Version.parse(version) < Version.parse(minimum))
    except ValueError:
        return True
