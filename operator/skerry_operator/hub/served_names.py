"""Who serves a name: the Model that was created first, as two can't answer under one."""

from collections.abc import Iterable
from datetime import UTC, datetime

from skerry_api.v1alpha1.model import Model


def claimed_by(model: Model, models: Iterable[Model]) -> str | None:
    """The `namespace/name` of the Model that has this one's served name already; None if it is this one's."""
    served = _served(model)
    first = min((other for other in models if _served(other) == served), key=_age, default=model)
    return None if _name(first) == _name(model) else "/".join(_name(first))


def _served(model: Model) -> str:
    return model.spec.served_name or model.metadata.name


def _name(model: Model) -> tuple[str, str]:
    return (model.metadata.namespace or "", model.metadata.name)


def _age(model: Model) -> tuple[datetime, tuple[str, str]]:
    return (model.metadata.creation_timestamp or datetime.max.replace(tzinfo=UTC), _name(model))
