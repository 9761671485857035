"""Messages that are stored and whose acknowledgement may not have reached the broker.

A message of plain JSON has no id, so two equal ones are two events; but one that the broker sends again (the DUP flag,
the same packet identifier and content, in the same session) is the same one. At most `RECEIVE_MAXIMUM` messages are
unacknowledged at any time, and they are acknowledged in order, so only the last that many can come again: an older
message with the same identifier was another one.
"""

from collections import OrderedDict
from collections.abc import Iterable

RECEIVE_MAXIMUM = 64


class Redeliveries:
    """The last messages stored, by packet identifier. Used under its owner's lock."""

    def __init__(self, recalled: Iterable[tuple[int, str]] = ()) -> None:
        """`recalled` are identifiers and contents that the log's tail tells of, oldest first."""
        self._stored: OrderedDict[int, str] = OrderedDict()
        for mid, content in recalled:
            self.stored(mid, content)

    def forget(self) -> None:
        """The session is a new one: the old identifiers mean nothing in it."""
        self._stored.clear()

    def begun(self, mid: int) -> None:
        """A message of this identifier came for the first time: the one before it is over and done with."""
        self._stored.pop(mid, None)

    def stored(self, mid: int, content: str) -> None:
        """A message of this identifier and content is durable."""
        self._stored[mid] = content
        self._stored.move_to_end(mid)
        while len(self._stored) > RECEIVE_MAXIMUM:
            self._stored.popitem(last=False)

    def knows(self, mid: int, content: str) -> bool:
        """Whether a message that comes again is durable already."""
        return self._stored.get(mid) == content
