"""What one event, one request and the memory of ids may take: everything that a producer sends has a bound."""

from datetime import timedelta

KIB = 1 << 10

# One request. Small enough that parsing it never holds the interpreter for long: inference runs in the same process.
MAX_REQUEST_BYTES = 1 << 20
MAX_EVENTS = 5_000
# What the events of one request have at most in their stored form; attributes made here come on top of what was sent.
MAX_STORED_BYTES = 3 << 20
# Attributes that `ce-*` headers give to every line of a request, in characters.
MAX_SHARED_ATTRIBUTES = 1024
# Bodies of all event requests together, apart from those of inference.
MAX_HELD_BYTES = 16 << 20

# Messages of one stream that came from the broker and wait to be stored; one may be there whatever its size.
MAX_WAITING_BYTES = 4 << 20

# One event, as it came; as it is stored it has at most the stream's `maxBody`, and never more than the log's MAX_BODY.
MAX_RAW_EVENT = 256 * KIB
MAX_DEPTH = 32
MAX_VALUES = 16_384
MAX_ATTRIBUTES = 64
# CloudEvents asks producers for at most 20 characters; receivers need not refuse longer names.
MAX_ATTRIBUTE_NAME = 64
# `id`, `source`, `type` and `subject` become keys of other things.
MAX_KEY_CHARACTERS = 1024

# How far a producer's clock may be from the node's before its time is marked as skewed. Late is often honest: devices
# keep events while they have no connection.
TIME_AHEAD = timedelta(minutes=5)
TIME_BEHIND = timedelta(days=7)

# Ids remembered by all streams together: 28 to 56 bytes each. The CRD's text of `dedupWindow` says these numbers.
TOTAL_IDS = 1 << 20
MIN_IDS = 1 << 13
# As many as `consent` and `labels` get each, where no `maxRate` of theirs says what they need: 18 a second for an hour.
BUILT_IN_IDS = 1 << 16

# One producer (a CloudEvents source) may use this share of its stream's `maxRate`, so that it can't shut out others,
# and never more events a second than this.
PRODUCER_SHARE = 0.8
PRODUCER_RATE = 5_000.0
MAX_PRODUCERS = 1_024
# A bucket holds this many seconds of its rate: devices come back with what they kept.
BURST_SECONDS = 10.0

DEAD_LETTER_RATE = 5.0
DEAD_LETTER_BURST = 50.0
DEAD_LETTER_BYTES = 16 * KIB
