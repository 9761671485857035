"""TrustPolicy: which identities' signatures count, for which namespaces and models.

What counts is the signed envelope; nothing else in the object is believed. `skerry trust sign` makes it from a policy
document (`skerry_core.trust.policy.PolicyDocument`) with a key that the hub does not hold.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.condition import Condition
from skerry_api.v1alpha1.fields import ApiModel, Digest, ObjectMeta


class TrustPolicySpec(ApiModel):
    envelope: Annotated[str, StringConstraints(min_length=1, max_length=65536)]


class TrustPolicyStatus(ApiModel):
    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    # The verified content in short, for people; decisions read the envelope.
    digest: Digest | None = None
    serial: Annotated[int, Field(ge=0)] = 0
    bindings: int = 0
    denied: int = 0


class TrustPolicy(ApiModel):
    metadata: ObjectMeta
    spec: TrustPolicySpec
    status: TrustPolicyStatus = TrustPolicyStatus()
