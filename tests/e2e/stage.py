"""One installed hub and site for all tests that leave them as good as they were."""

from contextlib import ExitStack

from tests.cluster.lab import Lab
from tests.e2e.faults.world import World, installed


class Stage:
    """The lab's clusters with what is installed on them; put up when first asked for, until somebody clears it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._world: World | None = None
        self._open = ExitStack()

    def world(self) -> World:
        """The installed world, the same one until `clear`."""
        if self._world is None:
            self._world = self._open.enter_context(installed(self._lab))
        return self._world

    def clear(self) -> None:
        """Stop the world's traffic: whoever calls this takes its clusters."""
        self._world = None
        self._open.close()
