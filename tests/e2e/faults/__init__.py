"""Faults on real clusters: what each does to releases, and that none does anything to what serves."""
