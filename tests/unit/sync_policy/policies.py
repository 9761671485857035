"""Policies that differ from the default one."""

from datetime import timedelta

from hypothesis import strategies as st

from skerry_api.v1alpha1.syncpolicy import Tier
from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import StreamPolicy, SyncPolicyDocument


def with_stream(name: str) -> SyncPolicyDocument:
    stream = StreamPolicy(
        name=name,
        tier=Tier.BULK,
        max_age=timedelta(hours=1),
        max_bytes=1 << 20,
        dedup_window=timedelta(minutes=1),
        sampling=0.25,
        max_body=1024,
    )
    return DEFAULT_POLICY.model_copy(update={"streams": (*DEFAULT_POLICY.streams, stream)})


def published(document: SyncPolicyDocument) -> tuple[str, bytes]:
    """Digest and bytes."""
    data = canonical_json(document)
    return digests.of_bytes(data), data


bodies = st.one_of(st.none(), st.binary(max_size=200), st.just(published(with_stream("vibration"))[1]))
