"""Who may still write to a disk that fills: the lowest tiers are refused first. Pure."""

# What activation, intent and quarantine need on any disk, and what each tier leaves to the one above it.
SHARE_BYTES = 64 << 20
_SHARES_OF_A_SMALL_DISK = 64


def floor_bytes(tier: int, capacity: int) -> int:
    """Free bytes below which a tier is refused: one share for tier 0, one more for each tier below it.

    A share is 64 MiB, or a 64th of a disk smaller than 4 GiB.
    """
    return (1 + tier) * min(SHARE_BYTES, capacity // _SHARES_OF_A_SMALL_DISK)


def admits(tier: int, free: int, capacity: int) -> bool:
    """Tell whether a record of `tier` (0 to 4) may be written to a disk with `free` of `capacity` bytes left."""
    return free >= floor_bytes(tier, capacity)
