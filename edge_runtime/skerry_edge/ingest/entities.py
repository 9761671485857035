"""A set of entities, of which some are known only by what stands for them between the nodes of a site."""

from dataclasses import dataclass, field

from skerry_edge.ingest.consent import entity_key, site_hash


@dataclass(frozen=True)
class Entities:
    """`names`, and whoever's `site_hash` under `secret` is among `hashes`."""

    names: frozenset[str] = frozenset()
    hashes: frozenset[str] = frozenset()
    secret: bytes = field(default=b"", repr=False)

    def __contains__(self, name: object) -> bool:
        if name in self.names:
            return True
        return bool(self.hashes) and isinstance(name, str) and site_hash(self.secret, entity_key(name)) in self.hashes

    def __len__(self) -> int:
        return len(self.names) + len(self.hashes)
