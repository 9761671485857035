"""Whether what the hub offers may replace what the site has. Pure: bytes in, decision or TrustError out."""

from dataclasses import dataclass

from skerry_api.v1alpha1.siteassignment import Serial, SiteAssignmentSpec
from skerry_core.assignment.document import AssignmentDocument
from skerry_core.assignment.spec import spec_of
from skerry_core.errors import UserMustActError
from skerry_core.trust.assignment import open_assignment


@dataclass(frozen=True)
class Offer:
    """An offer that holds, and the mirror's spec for it; `changes` tells whether the mirror must be written.

    Of what was offered the envelope alone is taken over: nobody signed the fields beside it.
    """

    document: AssignmentDocument
    spec: SiteAssignmentSpec
    changes: bool


def known_serial(local: SiteAssignmentSpec | None, hub_key: bytes, site: str) -> Serial | None:
    """The serial of the local mirror's verified content.

    The mirror's own `serial` field is a view that anybody with write access could have raised, which would lock the
    hub out for good; an envelope that doesn't verify counts as no assignment.
    """
    if local is None:
        return None
    try:
        return open_assignment(local.envelope, hub_key, site=site, last=None).serial
    except UserMustActError:
        return None


def accept(offered: SiteAssignmentSpec, *, local: SiteAssignmentSpec | None, hub_key: bytes, site: str) -> Offer:
    """Verify an offer against the pinned hub key; TrustError for a bad envelope, another site's, or an older serial."""
    last = known_serial(local, hub_key, site)
    document = open_assignment(offered.envelope, hub_key, site=site, last=last)
    spec = spec_of(offered.envelope, document)
    return Offer(document, spec, changes=spec != local)
