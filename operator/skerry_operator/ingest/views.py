"""The questions that people ask of a lake, as SQL views over its tables. Text only; `query` runs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from skerry_core.batch.flags import Flags
from skerry_operator.ingest import answer_views, label_views, rollup_views, telemetry_views

# What every stream's table has, in the order in which the view `events` shows it.
_EVENT = "site, node, epoch, seq, hlc, time, received, ingested, flags, type, source, subject, id, set_aside, body"
# An empty table of the same columns, for a lake that has no stream yet.
NO_EVENTS = "_no_events"


@dataclass(frozen=True)
class View:
    """A question's name, the question, and its SQL for the columns that streams' tables have; None if there is none."""

    name: str
    question: str
    sql: Callable[[Mapping[str, frozenset[str]]], str | None]


def table_name(stream: str) -> str:
    """What a stream's table is called in SQL: `dead-letter` is `dead_letter`, a view's namesake `stream_…`."""
    name = stream.replace("-", "_")
    return f"stream_{name}" if any(view.name == name for view in VIEWS) else name


def _events(tables: Mapping[str, frozenset[str]]) -> str:
    # Names of streams and columns are ours, or match skerry_api's pattern for names.
    parts = [f"SELECT '{stream}' AS stream, {_EVENT} FROM \"{table_name(stream)}\"" for stream in sorted(tables)]  # noqa: S608
    return " UNION ALL ".join(parts) or f"SELECT stream, {_EVENT} FROM {NO_EVENTS}"  # noqa: S608


def _always(sql: str) -> Callable[[Mapping[str, frozenset[str]]], str]:
    return lambda _: sql


def _versions(tables: Mapping[str, frozenset[str]]) -> str | None:
    """Members that no prediction had so far are no columns yet."""
    columns = tables.get("predictions", frozenset())
    if not {"model", "version"} <= columns:
        return None

    def member(name: str) -> str:
        return name if name in columns else "NULL"

    return f"""
        SELECT {member("namespace")} AS namespace, model, version, any_value({member("digest")}) AS digest,
            count(DISTINCT site) AS sites, count(*) AS predictions,
            min(time) AS first, max(time) AS last,
            quantile_cont({member("latency")}::DOUBLE, 0.5) AS latency_p50_s,
            quantile_cont({member("latency")}::DOUBLE, 0.99) AS latency_p99_s,
            sum({member("pair_disagreements")}::DOUBLE) AS disagreements, sum({member("pair_rows")}::DOUBLE) AS compared
        FROM predictions WHERE model IS NOT NULL
        GROUP BY ALL ORDER BY namespace, model, last DESC"""  # noqa: S608


VIEWS = (
    View("events", "Every event of every stream: what all have in common.", _events),
    View(
        "last_events",
        "Per site and stream: the newest event, and when it came in there and here.",
        _always("""
        SELECT site, stream, count(*) AS events, max(time) AS time, max(received) AS received, max(ingested) AS ingested
        FROM events GROUP BY ALL ORDER BY site, stream"""),
    ),
    View(
        "lag",
        "Per site, in seconds: how old its newest event is, and how long those of the last day took to get here.",
        _always("""
        WITH ways AS (
            SELECT site, received, CASE WHEN ingested > now() - INTERVAL 1 DAY
                THEN epoch(ingested) - epoch(received) END AS way
            FROM events
        )
        SELECT site, epoch(now()) - epoch(max(received)) AS newest_age_s,
            quantile_cont(way, 0.5) AS way_p50_s, quantile_cont(way, 0.95) AS way_p95_s
        FROM ways GROUP BY site ORDER BY newest_age_s DESC"""),
    ),
    View(
        "gaps",
        "Sequence numbers that should be here and aren't: asked for again (Open), or given up (Lost).",
        _always("""
        SELECT site, node, stream, epoch, "first", "last", "last" - "first" + 1 AS missing,
            min(noted) FILTER (state = 'Open') AS since, arg_max(state, noted) AS state
        FROM _gaps WHERE state <> 'Damaged'
        GROUP BY site, node, stream, epoch, "first", "last"
        HAVING arg_max(state, noted) IN ('Open', 'Lost') ORDER BY since"""),
    ),
    View(
        "damaged",
        "Batches that came and could not be read.",
        _always("""
        SELECT site, node, stream, epoch, "first", "last", noted, reason FROM _gaps
        WHERE state = 'Damaged' ORDER BY noted DESC"""),
    ),
    View(
        "absent",
        "Events that sites say never come, by reason: sampled out, expired, without consent, …",
        _always("""
        SELECT site, stream, reason, sum("last" - "first" + 1)::BIGINT AS events, max(ingested) AS told
        FROM _absent GROUP BY ALL ORDER BY site, stream, reason"""),
    ),
    View(
        "logs",
        "Per log (one stream on one node): what came, what is absent, what is missing.",
        _always("""
        WITH came AS (
            SELECT site, node, stream, epoch, count(*) AS events, min(seq) AS "first", max(seq) AS "last"
            FROM events GROUP BY ALL
        ), gone AS (
            SELECT site, node, stream, epoch, sum("last" - "first" + 1)::BIGINT AS absent FROM _absent GROUP BY ALL
        ), holes AS (
            SELECT site, node, stream, epoch, sum(missing)::BIGINT AS missing FROM gaps GROUP BY ALL
        )
        SELECT site, node, stream, epoch, coalesce(events, 0) AS events, coalesce(absent, 0) AS absent,
            coalesce(missing, 0) AS missing, "first", "last"
        FROM came FULL JOIN gone USING (site, node, stream, epoch) FULL JOIN holes USING (site, node, stream, epoch)
        ORDER BY ALL"""),
    ),
    View(
        "volumes",
        "Events per site, stream and day (by the nodes' clocks), and how many of them are set aside.",
        _always("""
        SELECT received::DATE AS day, site, stream, count(*) AS events, count(set_aside) AS set_aside
        FROM events GROUP BY ALL ORDER BY day DESC, site, stream"""),
    ),
    View(
        "predictions_by_version",
        "Per model version: where it answers, how often, how fast, how differently.",
        _versions,
    ),
    View("labels", "Every label: what turned out to be true of which prediction, and when.", label_views.labels),
    View(
        "labelled_predictions",
        "Each labelled prediction: what its labels say together, how old, of use for training or why not, how wrong.",
        label_views.labelled_predictions,
    ),
    View("accuracy", "Per model version: how accurate it is by its labels, beside its champion.", label_views.accuracy),
    View(
        "rollups_by_stream",
        "Per stream, field and window of event time: statistics of all sites' events together, whatever was sampled.",
        rollup_views.rollups_by_stream,
    ),
    View(
        "rollups_by_model",
        "Per release, variant, outcome and window: how many predictions, their latency, and what they decided.",
        rollup_views.rollups_by_model,
    ),
    View("answers", "Every prediction with what it was made of, and what marks it as bad.", answer_views.answers),
    View(
        "bad_answers",
        "Per model, release, node, feature sets, staleness and damage: how many answers are bad, and why.",
        answer_views.bad_answers,
    ),
    View(
        "set_aside",
        "Events that don't fit their stream's columns, whole, with the reason.",
        _always("""
        SELECT stream, site, node, epoch, seq, time, set_aside AS reason, body FROM events
        WHERE set_aside IS NOT NULL ORDER BY ingested DESC"""),
    ),
    View(
        "by_entity",
        "Every event in its entity's causal order, whatever order it came in: by hybrid logical time, then identity.",
        _always("""
        SELECT site, coalesce(subject, source, node) AS entity,
            row_number() OVER (PARTITION BY site, entity ORDER BY hlc, node, epoch, stream, seq) AS place,
            * EXCLUDE (site)
        FROM events"""),
    ),
    View(
        "clocks",
        "Per node: events with no time or a skewed one, and those logged while the node's own clock was wrong.",
        _always(f"""
        SELECT site, node, count(*) AS events, count(*) FILTER (flags & {Flags.TIME_MISSING:d} <> 0) AS time_missing,
            count(*) FILTER (flags & {Flags.TIME_SKEWED:d} <> 0) AS time_skewed,
            count(*) FILTER (flags & {Flags.CLOCK_SUSPECT:d} <> 0) AS clock_suspect
        FROM events GROUP BY ALL ORDER BY ALL"""),  # noqa: S608
    ),
    View(
        "overruns",
        "Limits that nodes ran into: what, why, what was shed meanwhile, and what remedied it.",
        telemetry_views.overruns,
    ),
    View("node_health", "Each node as it last told of itself, with its last day's sums.", telemetry_views.node_health),
    View("node_counts", "What nodes counted, by day and what it is told apart by.", telemetry_views.node_counts),
    View(
        "node_durations",
        "Per node, of the last day: how long the model, appends and the way to the store took.",
        telemetry_views.node_durations,
    ),
)
