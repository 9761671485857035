"""Messages that are stored and whose acknowledgement may not have reached the broker.

A message of plain JSON has no id, so two equal ones are two events; but one that the broker sends again (the DUP flag,
the same packet identifier and content, in the same session) is the same one. An older message with the same identifier
was another one, so how far back is remembered depends on how the broker gives identifiers out:

- One after the other, through all 65,535, as Mosquitto does: none comes round within `REMEMBERED` messages. Nor would
  fewer do, since Mosquitto 2.0.11 has many more messages unacknowledged than a client's Receive Maximum allows.
- Anew as soon as they are free: those that do must keep to the Receive Maximum, so only the last `RECEIVE_MAXIMUM`
  messages, acknowledged in order, can come again.
"""

from collections import OrderedDict
from collections.abc import Iterable

RECEIVE_MAXIMUM = 64
REMEMBERED = 2048


class Redeliveries:
    """The last messages stored, by packet identifier. Used under its owner's lock."""

    def __init__(self, recalled: Iterable[tuple[int, str]] = ()) -> None:
        """`recalled` are identifiers and contents that the log's tail tells of, oldest first."""
        self._stored: OrderedDict[int, str] = OrderedDict()
        self._most = REMEMBERED
        for mid, content in recalled:
            self.begun(mid)
            self.stored(mid, content)

    def forget(self) -> None:
        """The session is a new one: the old identifiers mean nothing in it."""
        self._stored.clear()
        self._most = REMEMBERED

    def begun(self, mid: int) -> None:
        """A message of this identifier came for the first time: the one before it is over and done with."""
        if self._stored.pop(mid, None) is not None:
            self._remember(RECEIVE_MAXIMUM)

    def stored(self, mid: int, content: str) -> None:
        """A message of this identifier and content is durable."""
        self._stored[mid] = content
        self._stored.move_to_end(mid)
        self._remember(self._most)

    def _remember(self, most: int) -> None:
        self._most = most
        while len(self._stored) > most:
            self._stored.popitem(last=False)

    def knows(self, mid: int, content: str) -> bool:
        """Whether a message that comes again is durable already."""
        return self._stored.get(mid) == content
