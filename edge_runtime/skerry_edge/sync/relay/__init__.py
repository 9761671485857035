"""Consent that is withdrawn at one node of a site is withdrawn at all: nodes tell each other by their RuntimeNodes."""
