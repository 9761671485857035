"""Batches of events from the store into Delta tables, each event once: `python -m skerry_operator.ingest`."""
