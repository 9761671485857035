"""What a log says of a record besides its body: bits that nodes write, batches carry and tables keep."""

from enum import IntFlag


class Flags(IntFlag):
    """What is to be known of a record besides its body."""

    NONE = 0
    # The producer gave no time; `time` is `received`.
    TIME_MISSING = 1
    # The producer's time is too far from the node's.
    TIME_SKEWED = 2
    # The node's own clock was earlier than a time that must have passed.
    CLOCK_SUSPECT = 4
    # The body was taken out afterwards; it reads `{}`.
    REDACTED = 8
