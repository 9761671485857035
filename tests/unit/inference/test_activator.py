"""The activator's thread against a store, an authority and a loader whose answers and times are given."""

import gc
import threading
import time
import weakref
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from skerry_core.trust.policy import Binding, DenyList, PolicyDocument, SignerIdentity
from skerry_core.verdict.port import Outcome, Verdict
from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.activator import Activator
from skerry_edge.inference.intent import IntentFile
from skerry_edge.inference.kept import KeptFiles
from skerry_edge.inference.loader import Resident
from skerry_edge.inference.quarantine import QuarantineFile
from skerry_edge.inference.routing import Routes
from tests.unit.inference.releases import assignment, manifest, release

KEY = ModelKey("team", "har")
R0, R1 = release(0), release(1)
SIGNER = SignerIdentity(subject="a@example.test", issuer="https://issuer.test")


def policy(*denied: str, serial: int = 1) -> PolicyDocument:
    return PolicyDocument(
        serial=serial,
        issued_at=datetime.now(UTC),
        bindings=(Binding(namespace="team", models=("har",), identities=(SIGNER,)),),
        deny_list=DenyList(digests=denied),
    )


class Session:
    def run(self, inputs):
        return {"scores": np.zeros((1, 3), np.float32)}

    def stop(self) -> None:
        pass


class World:
    """What stands around an activator; each change of it is seen with the next look."""

    def __init__(self, root) -> None:
        self.refusal = self.policy_refusal = None
        self.policy_is_current = True
        self.policy = policy()
        self.document = None
        self.barred: frozenset[str] = frozenset()
        self.verdict = Verdict(Outcome.INCONCLUSIVE)
        self.loading: set[str] = set()
        self.gates: dict[str, threading.Event] = {}
        self.sessions: dict[str, weakref.ref] = {}
        self.looks = 0
        self._changes = 0
        self._seen = None
        self.routes = Routes()
        self.activator = Activator(
            store=self,
            authority=self,
            loader=self,
            judge=lambda *_: self.verdict,
            kept=KeptFiles(root / "activation"),
            quarantine=QuarantineFile(root / "quarantine.json"),
            intent=IntentFile(root / "intent.json", "boot"),
            routes=self.routes,
            steady=lambda: datetime.now(UTC),
            put_aside=lambda *_: None,
        )

    def assign(self, *models, removals=()) -> None:
        self.document = SimpleNamespace(models=models, removals=removals, serial=None)
        self.changed()

    def put_policy(self, found: PolicyDocument) -> None:
        self.policy = found
        self.changed()
        looks = self.looks
        wait(lambda: self.looks > looks + 1)

    def changed(self) -> None:
        self._changes += 1

    # A store folder

    def stamp(self):
        self.looks += 1
        return self._changes

    def restrictions(self):
        return {str(KEY): self.barred}

    # An authority

    def refresh(self) -> bool:
        told = (self.document, self.policy)
        before, self._seen = self._seen, told
        return told != before

    # A loader

    def load(self, key, found, policy, like, *, proven):
        self.loading.add(found.digest)
        if found.digest in self.gates:
            assert self.gates[found.digest].wait(30)
        session = Session()
        self.sessions[found.digest] = weakref.ref(session)
        return Resident(found, manifest(found.version), SIGNER, session)

    # What is seen

    @property
    def state(self):
        return self.activator.states.get(KEY)

    def serves(self, found) -> bool:
        return self.state is not None and self.state.serving == found


def wait(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came to this"
        threading.Event().wait(0.01)


@contextmanager
def running(root):
    world = World(root)
    world.activator.start()
    try:
        yield world
    finally:
        world.activator.stop()


@pytest.mark.slow
def test_a_release_that_is_revoked_while_it_loads_never_runs(tmp_path):
    with running(tmp_path) as world:
        world.assign(assignment(R0))
        wait(lambda: world.serves(R0))
        world.gates[R1.digest] = threading.Event()
        world.assign(assignment(R1, R0))
        wait(lambda: R1.digest in world.loading)
        world.put_policy(policy(R1.digest, serial=2))
        world.gates[R1.digest].set()
        wait(lambda: R1.digest in world.state.failures or R1.digest in world.state.resident)
        assert world.state.failures[R1.digest].reason == "DigestDenied"
        assert world.state.canary is None


@pytest.mark.slow
def test_memory_of_a_release_that_was_put_aside_is_given_back(tmp_path):
    with running(tmp_path) as world:
        world.assign(assignment(R0))
        wait(lambda: world.serves(R0))
        world.assign(assignment(R1, R0))
        wait(lambda: world.state.canary == R1)
        world.verdict = Verdict(Outcome.FAIL, "disagreement", 0.4, 0.1, "decides otherwise")
        wait(lambda: bool(world.state.bad))
        wait(lambda: gc.collect() >= 0 and world.sessions[R1.digest]() is None)
        told = world.activator.canaries[KEY]
        assert (told.running, told.evidence().challenger) == (False, R1.digest)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["policy", "site"])
def test_a_champion_that_no_assignment_names_any_more_gives_way_when_it_may_not_run(tmp_path, by):
    with running(tmp_path) as world:
        world.assign(assignment(R0))
        wait(lambda: world.serves(R0))
        world.assign(assignment(R1, R0))
        wait(lambda: world.state.canary == R1)
        world.verdict = Verdict(Outcome.PASS)
        wait(lambda: world.serves(R1))
        world.assign()
        if by == "policy":
            world.put_policy(policy(R1.digest, serial=2))
        else:
            world.barred = frozenset({R1.digest})
            world.changed()
        wait(lambda: world.serves(R0))


@pytest.mark.slow
def test_a_release_answers_before_it_is_said_to_serve(tmp_path):
    with running(tmp_path) as world:
        said_at_swap = []
        serve = world.routes.serve

        def swap(key, champion):
            said_at_swap.append(world.state.serving)
            serve(key, champion)

        world.routes.serve = swap
        world.assign(assignment(R0))
        wait(lambda: world.serves(R0))
        assert said_at_swap == [None]
