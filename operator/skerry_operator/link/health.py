"""How the link fares, for whoever writes the site's conditions."""

import threading
from dataclasses import dataclass

from skerry_core.errors import SkerryError
from skerry_operator.kube.errors import UNAUTHORIZED


@dataclass(frozen=True)
class LinkState:
    """`reason` and `message` are those of a condition; `stalled` means that a person must act."""

    reachable: bool
    stalled: bool
    reason: str
    message: str


# The activity that keeps the credential; the others use it.
CREDENTIAL = "credential"

_STARTING = LinkState(reachable=False, stalled=False, reason="Connecting", message="dialling the hub")
_CONNECTED = LinkState(reachable=True, stalled=False, reason="Connected", message="")


class LinkHealth:
    """The state of each of the link's activities; the worst one that was told last counts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, LinkState] = {}
        self._connected = False

    def works(self, activity: str) -> None:
        """Note that an activity succeeded, which may have been to do nothing."""
        with self._lock:
            self._faults.pop(activity, None)

    def reached(self) -> None:
        """Note that the hub has answered."""
        with self._lock:
            self._connected = True

    def fails(self, activity: str, error: SkerryError, *, stalled: bool) -> bool:
        """Note that an activity failed; True if this is news."""
        state = LinkState(reachable=False, stalled=stalled, reason=error.reason, message=str(error))
        with self._lock:
            before = self._faults.get(activity)
            self._faults[activity] = state
        return before is None or before.reason != error.reason

    @property
    def refused(self) -> bool:
        """Whether the hub, when it was last asked for something, didn't take the credential (HTTP 401)."""
        with self._lock:
            return any(
                activity != CREDENTIAL and fault.reason == UNAUTHORIZED for activity, fault in self._faults.items()
            )

    @property
    def state(self) -> LinkState:
        """What to tell people now: what a person must act on first, then what the link waits for."""
        with self._lock:
            # Without a credential nothing else can work, so its fault says most.
            faults = sorted(self._faults.items(), key=lambda fault: (not fault[1].stalled, fault[0] != CREDENTIAL))
            if faults:
                return faults[0][1]
            return _CONNECTED if self._connected else _STARTING
