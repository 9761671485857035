"""Events on real clusters: from a device at a site to a table at the hub, whatever happens in between."""
