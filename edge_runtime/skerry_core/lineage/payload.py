"""Which predictions are recorded with their inputs and outputs, and how large these may be. Pure."""

import hashlib

# Of both together, as JSON within the record.
MAX_PAYLOAD = 16_384
# Each one's name makes columns of its own in the hub's table.
MAX_TENSORS = 32
MAX_NAME = 64

TOO_LARGE = "TooLarge"

_SPACE = 1 << 64


def drawn(prediction: str, share: float) -> bool:
    """Whether the prediction with this id is among the share (0 to 1) that is recorded with inputs and outputs.

    The same for one id wherever it is asked; a smaller share draws from among those of a larger one.
    """
    place = int.from_bytes(hashlib.blake2b(prediction.encode(), digest_size=8).digest())
    return place < int(share * _SPACE)
