"""The document inside a TrustPolicy's envelope, signed by the policy key that the hub does not hold."""

from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, SemVer, Timestamp

PAYLOAD_TYPE = "application/vnd.skerry.trust-policy.v1+json"


class SignerIdentity(ApiModel):
    """A sigstore identity: the certificate's subject (email or URI) and the OIDC issuer that vouched for it."""

    subject: Annotated[str, Field(min_length=1, max_length=512)]
    issuer: Annotated[str, Field(min_length=1, max_length=512)]


class Binding(ApiModel):
    """Lets identities sign releases of the models in `namespace` whose names match a glob of `models`."""

    namespace: Name
    models: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)]
    identities: Annotated[tuple[SignerIdentity, ...], Field(min_length=1, max_length=64)]


class MinimumVersion(ApiModel):
    """Versions of a model below this are refused, however well signed."""

    namespace: Name
    model: Name
    version: SemVer


class DenyList(ApiModel):
    """What is refused at once: manifest digests and signer identities."""

    digests: Annotated[tuple[Digest, ...], Field(max_length=1024)] = ()
    identities: Annotated[tuple[SignerIdentity, ...], Field(max_length=256)] = ()


class PolicyDocument(ApiModel):
    """Which signatures count. `serial` only grows; an older policy is refused by whoever has seen a newer one."""

    serial: Annotated[int, Field(ge=1)]
    issued_at: Timestamp
    bindings: Annotated[tuple[Binding, ...], Field(max_length=256)]
    deny_list: DenyList = DenyList()
    minimum_versions: Annotated[tuple[MinimumVersion, ...], Field(max_length=256)] = ()
