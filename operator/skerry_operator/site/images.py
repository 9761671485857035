"""Which images the runtime may run at this site. Pure; the admission policy skerry-runtime-pods says the same in CEL.

The hub signs the image, so without this list a stolen hub key would run any code on every node.
"""

from collections.abc import Iterable

_ENDS_OF_NAMES = ("/", ":", "@")


def allows(allowed: Iterable[str], image: str) -> bool:
    """Tell whether one of the entries names the image; references are compared as they are spelled.

    An entry is a whole reference, or the beginning of one: up to a `/` for everything in a folder, up to the `:` or
    the `@` for every tag or digest of one repository.
    """
    return any(_names(entry, image) for entry in allowed)


def _names(entry: str, image: str) -> bool:
    if not entry.endswith(_ENDS_OF_NAMES):
        return image == entry
    # After `name:` a slash would make the name a host, and what follows its port.
    return image.startswith(entry) and (entry.endswith("/") or "/" not in image.removeprefix(entry))
