"""A hub in memory, without its process."""

from datetime import UTC, datetime

from skerry_core.trust.keys import generate_key_pair
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Inventory
from skerry_operator.hub.published import PublishedReader
from skerry_operator.hub.status import StatusWriter
from skerry_operator.hub.trained_on import FeatureSetReader

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HUB_KEY, POLICY_KEY = generate_key_pair(), generate_key_pair()


def make_hub(kube, store, queued=None):
    """A hub that has just started: it knows what it is shown, and notes in `queued` what it wants looked at."""
    inventory = Inventory(HUB_KEY.public_pem, lambda: NOW)
    return Hub(
        kube=kube,
        store=store,
        trained_on=FeatureSetReader(store),
        published=PublishedReader(store),
        verifier=None,
        grants=None,
        inventory=inventory,
        statuses=StatusWriter(kube, inventory),
        policy_key=POLICY_KEY.public_pem,
        hub_key=HUB_KEY.private_pem,
        incarnation=1,
        now=lambda: NOW,
        enqueue=lambda key, _delay: None if queued is None else queued.append(key),
    )


def put(hub, resource, name, spec):
    """Write an object as a person would, and show it to the hub."""
    body = {"metadata": {"name": name}, "spec": spec}
    hub.inventory.observe(resource, "MODIFIED", hub.kube.apply(resource, body))
