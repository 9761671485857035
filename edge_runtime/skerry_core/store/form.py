"""A signed upload form, as S3's POST policies have it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PostForm:
    """Send `fields`, then a `key` that starts with `prefix`, then the `file`, as multipart/form-data to `url`."""

    url: str
    fields: dict[str, str]
    prefix: str
