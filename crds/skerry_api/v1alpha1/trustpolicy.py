"""TrustPolicy: which identities' signatures count, for which namespaces and models.

What counts is the signed envelope; nothing else in the object is believed. `skerry trust sign` makes it from a policy
document (`skerry_core.trust.policy.PolicyDocument`) with a key that the hub does not hold.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.cel import Rule, rules
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import ApiModel, Digest, ObjectMeta

_SIGNED = Rule(
    "self.contains('\"payloadType\"') && self.contains('\"signatures\"')",
    "spec.envelope must be the signed envelope that `skerry trust sign` prints, not the policy document itself",
)


class TrustPolicySpec(ApiModel):
    envelope: Annotated[str, StringConstraints(min_length=1, max_length=65536), Field(json_schema_extra=rules(_SIGNED))]
    """The policy document in a DSSE envelope, as `skerry trust sign` prints it."""


class TrustPolicyStatus(Status):
    # The verified content in short, for people; decisions read the envelope.
    digest: Digest | None = None
    """Digest of the envelope in force."""
    serial: Annotated[int, Field(ge=0)] = 0
    """Serial of the policy in force; an older one is refused."""
    bindings: Annotated[int, Field(ge=0)] = 0
    """How many bindings of identities to models it has."""
    denied: Annotated[int, Field(ge=0)] = 0
    """How many digests and identities it denies."""


class TrustPolicy(ApiModel):
    """Which identities' signatures count, for which namespaces and models; signed by a key that the hub hasn't got."""

    metadata: ObjectMeta
    spec: TrustPolicySpec
    """The signed policy; nothing else in the object is believed."""
    status: TrustPolicyStatus = TrustPolicyStatus()
    """What the verified policy says, in short."""
