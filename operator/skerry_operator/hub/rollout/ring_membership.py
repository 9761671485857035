"""Which ring a site is in: per model, the first by order, then by name, whose selector takes the site."""

from collections.abc import Iterable, Mapping, Sequence

from skerry_api.v1alpha1.rolloutring import RolloutRing
from skerry_operator.hub.rollout.defaults import effective_ring
from skerry_operator.hub.rollout.facts import RingPolicy


def rings_of(names: Sequence[str], rings: Iterable[RolloutRing]) -> tuple[RolloutRing, ...]:
    """The rings a model goes through, in order: those it names, or all if it names none."""
    chosen = (ring for ring in rings if not names or ring.metadata.name in names)
    return tuple(sorted(chosen, key=lambda ring: (ring.spec.order, ring.metadata.name)))


def ring_of(labels: Mapping[str, str], rings: Sequence[RolloutRing]) -> str | None:
    """The name of the first of the (ordered) rings that takes a site with these labels."""
    return next((ring.metadata.name for ring in rings if ring.spec.site_selector.matches(labels)), None)


def policy_of(ring: RolloutRing) -> RingPolicy:
    """A ring's policy as facts, every default resolved."""
    effective = effective_ring(ring.spec)
    strategy = effective.rollout_strategy
    # Resolved strategies have no absent fields; the API's type can't say so.
    assert strategy.max_concurrency is not None
    assert strategy.max_failures is not None
    assert strategy.progress_deadline is not None
    assert strategy.min_success_time is not None
    return RingPolicy(
        name=ring.metadata.name,
        max_concurrency=strategy.max_concurrency,
        max_failures=strategy.max_failures,
        progress_deadline=strategy.progress_deadline,
        min_success_time=strategy.min_success_time,
        min_reporting=effective.min_reporting,
        evidence_max_age=effective.evidence_max_age,
    )
