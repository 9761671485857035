"""Options that say where a model was trained, read into what its manifest tells."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import typer
from pydantic import TypeAdapter, ValidationError

from skerry_core.bundle.training import MAX_FILES, RoundId, Training, TrainingRound
from skerry_core.errors import UserMustActError

_ROUND: TypeAdapter[str] = TypeAdapter(RoundId)


def read_training(name: str, at: str, files: Sequence[Path], now: datetime) -> Training | None:
    """The round and its files of rows; None where nothing is said of it. Raises typer.BadParameter.

    `at` is RFC 3339, or empty for `now`. UserMustActError TrainingRowsInvalid for a file that isn't of ours.
    """
    if not name:
        if at or files:
            raise typer.BadParameter("--training-rows and --trained-at need --training-round, which names the round")
        return None
    if len(files) > MAX_FILES:
        raise typer.BadParameter(f"{len(files)} times --training-rows, a release can have {MAX_FILES}")
    try:
        named = _ROUND.validate_python(name)
    except ValidationError as error:
        raise typer.BadParameter(f"--training-round {name!r}: {error.errors()[0]['msg']}") from None
    moment = _moment(at) if at else now
    if not files:
        return Training(round=TrainingRound(id=named, at=moment))
    try:
        # Arrow is an extra: large, and nothing else here needs it.
        from skerry_operator.training.provenance import rows_of  # noqa: PLC0415
    except ImportError as error:
        raise UserMustActError(
            "ExtraMissing", f"{error.name} is not installed, which reads training rows: pip install 'skerry[ingest]'"
        ) from error
    return Training(round=TrainingRound(id=named, at=moment), data=tuple(map(rows_of, files)))


def _moment(text: str) -> datetime:
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    raise typer.BadParameter(f"--trained-at {text!r} is no time such as 2026-11-20T08:30:00Z")
