"""The version that every later chapter comes back to."""

GOOD = "1.1.0"
