"""Late feedback, joined to the predictions of the same site: the rule of `skerry_core.labels`, as SQL. Text only.

A Model's own terms aren't in the lake: unless they are given, a label of any authority counts, and is of use for
training for 30 days.
"""

from collections.abc import Mapping
from datetime import timedelta

from skerry_core.batch.flags import Flags
from skerry_core.labels.standing import TOLERANCE_US, Terms

LABELS, PREDICTIONS = "labels", "predictions"
_NO_TIME = Flags.TIME_MISSING | Flags.TIME_SKEWED

_ANY = Terms()

Tables = Mapping[str, frozenset[str]]


def labels(tables: Tables) -> str | None:
    """Each label; `said` is when the truth was known, null if no clock can tell."""
    columns = tables.get(LABELS, frozenset())
    if "data_prediction" not in columns:
        return None
    one = "[data_value::DOUBLE]" if "data_value" in columns else "NULL"
    several = "data_values::DOUBLE[]" if "data_values" in columns else "NULL"
    authority = "data_authority::BIGINT" if "data_authority" in columns else "NULL"
    training = "data_training::BOOLEAN" if "data_training" in columns else "NULL"
    truth = f"CASE WHEN {one} IS NULL OR {one}[1] IS NULL THEN {several} ELSE {one} END"
    return f"""
        SELECT site, node, epoch, seq, hlc, time, received, ingested, id, source, subject,
            data_prediction AS prediction,
            list_transform({truth}, lambda x: x + 0.0) AS truth,
            coalesce({authority}, 0) AS authority, coalesce({training}, true) AS training,
            CASE WHEN flags & {Flags.CLOCK_SUSPECT:d} <> 0 THEN NULL
                WHEN flags & {_NO_TIME:d} <> 0 THEN received ELSE time END AS said
        FROM stream_labels WHERE data_prediction IS NOT NULL AND ({truth}) IS NOT NULL"""  # noqa: S608 - of fixed names


def labelled_predictions(tables: Tables, terms: Terms = _ANY) -> str | None:
    """Each prediction that labels tell of, with what they say together, its standing, and how wrong the models were."""
    if labels(tables) is None:
        return None
    return f"""
        WITH ranked AS (
            SELECT *, max(authority) OVER (PARTITION BY site, prediction) AS top FROM labels
        ), merged AS (
            SELECT site, prediction, count(*) AS labels, max(top) AS authority,
                count(DISTINCT truth) FILTER (authority = top) AS opinions,
                min(truth) FILTER (authority = top) AS truth,
                min(said) FILTER (authority = top) AS said, bool_and(training) AS training
            FROM ranked GROUP BY site, prediction
        ), joined AS (
            SELECT m.site, prediction, p.node, p.answered, p.namespace, p.model, p.version, p.digest, p.variant,
                labels, authority, opinions, said, training,
                CASE WHEN opinions = 1 THEN truth END AS truth, p.decided, p.champion, p.champion_decided,
                epoch_us(said) - epoch_us(p.trusted) AS lapse
            FROM merged m LEFT JOIN ({_predictions(tables)}) p
            ON p.site = m.site AND p.site = split_part(prediction, '/', 1) AND p.node = split_part(prediction, '/', 2)
                AND p.epoch = split_part(prediction, '/', 3)
                AND p.seq = TRY_CAST(split_part(prediction, '/', 4) AS BIGINT)
        ), aged AS (
            SELECT *, CASE WHEN lapse >= -{TOLERANCE_US} THEN greatest(lapse, 0) END AS age_us FROM joined
        ), standing AS (
            SELECT *, CASE WHEN model IS NULL THEN 'UnknownPrediction'
                WHEN opinions > 1 THEN 'Conflict'
                WHEN authority < {terms.min_authority:d} THEN 'LowAuthority'
                WHEN decided IS NULL OR len(decided) <> len(truth) THEN 'NotComparable'
                WHEN NOT training THEN 'NoConsent'
                WHEN age_us IS NULL THEN 'AgeUnknown'
                WHEN age_us > {terms.max_age // timedelta(microseconds=1)} THEN 'TooOld'
                ELSE 'Eligible' END AS standing
            FROM aged
        )
        SELECT site, node, prediction, answered, namespace, model, version, digest, variant,
            labels, authority, standing, age_us / 1e6 AS age_s, truth, decided,
            {_wrong("decided")} AS wrong, {_distance("decided")} AS distance,
            champion, champion_decided, {_wrong("champion_decided")} AS champion_wrong,
            {_distance("champion_decided")} AS champion_distance
        FROM standing"""  # noqa: S608 - of fixed names


def accuracy(tables: Tables) -> str | None:
    """Per release and part: how many rows labels tell of, and how wrong they were; the champion beside it."""
    if labels(tables) is None:
        return None
    rows = "sum(len(truth)) FILTER (wrong IS NOT NULL)"
    both = "sum(len(truth)) FILTER (champion_wrong IS NOT NULL)"
    return f"""
        SELECT namespace, model, version, digest, variant, count(*) AS labelled,
            count(*) FILTER (standing = 'Eligible') AS eligible, count(*) FILTER (standing = 'Conflict') AS conflicts,
            ({rows})::BIGINT AS "rows", 1 - sum(wrong) / ({rows}) AS accuracy,
            sum(distance) / ({rows}) AS mean_distance,
            ({both})::BIGINT AS paired_rows,
            sum(wrong) FILTER (champion_wrong IS NOT NULL) / ({both}) AS paired_error,
            sum(champion_wrong) / ({both}) AS champion_error
        FROM labelled_predictions WHERE model IS NOT NULL
        GROUP BY ALL ORDER BY namespace, model, labelled DESC"""  # noqa: S608 - of fixed names


def _predictions(tables: Tables) -> str:
    """Predictions as labels are joined to them; members that none had so far are no columns yet."""
    columns = tables.get(PREDICTIONS, frozenset())

    def member(name: str, kind: str) -> str:
        return f"{name}::{kind}" if name in columns else f"NULL::{kind}"

    names = {name: name for name in ("namespace", "version", "digest", "variant")} | {"pair_champion": "champion"}
    texts = ", ".join(f"{member(column, 'VARCHAR')} AS {name}" for column, name in names.items())
    source = PREDICTIONS if "model" in columns else "(SELECT *, NULL AS model FROM _no_events WHERE false)"
    return f"""SELECT site, node, epoch, seq, received AS answered, model, {texts},
            {member("decided", "DOUBLE[]")} AS decided, {member("pair_decided", "DOUBLE[]")} AS champion_decided,
            CASE WHEN (hlc >> 16) * 1000 - epoch_us(received) <= {TOLERANCE_US} THEN received END AS trusted
            FROM {source}"""  # noqa: S608 - of fixed names


def _pairs(decided: str) -> str:
    return f"CASE WHEN len({decided}) = len(truth) THEN list_zip(truth, {decided}) END"


def _wrong(decided: str) -> str:
    return f"list_sum(list_transform({_pairs(decided)}, lambda z: (z[1] <> z[2])::INTEGER))"


def _distance(decided: str) -> str:
    return f"list_sum(list_transform({_pairs(decided)}, lambda z: least(abs(z[1] - z[2]), 1000000)))"
