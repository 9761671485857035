"""Questions about the nodes themselves, as SQL over the stream `telemetry` (`skerry_edge.telemetry.bodies`). Text only.

Members that no record had so far are no columns yet, so each view asks only for those that are there.
"""

from collections.abc import Callable, Mapping

_SUMMARY = "dev.skerry.telemetry.v1"
_STARTED, _ENDED = "dev.skerry.overrun.started.v1", "dev.skerry.overrun.ended.v1"
_STREAM = "telemetry"
# A histogram's bound i is 10^(i / 8) seconds (`skerry_edge.telemetry.sketch`).
_PER_DECADE = 8
_TIERS = ("CriticalTelemetry", "ModelFeedback", "LabelledExamples", "Diagnostics", "Bulk")

Tables = Mapping[str, frozenset[str]]
Member = Callable[[str], str]


def overruns(tables: Tables) -> str | None:
    """Each overrun that a node told of, as one row; `ended` and what follows from it are null while it lasts."""
    member = _members(tables)
    if member is None or not {"data_overrun", "data_limit"} <= tables[_STREAM]:
        return None

    def begun(name: str) -> str:
        return f"any_value({member(name)})"

    def ended(name: str) -> str:
        return f"any_value({member(name)}) FILTER (type = '{_ENDED}')"

    return f"""
        SELECT site, node, any_value(data_limit) AS "limit",
            coalesce({begun("data_stream")}, {begun("data_tier")}) AS subject,
            {begun("data_start")}::TIMESTAMPTZ AS began, {ended("data_end")}::TIMESTAMPTZ AS ended,
            {ended("data_seconds")}::DOUBLE AS seconds,
            coalesce({ended("data_cause")}, {begun("data_cause")}) AS cause, {begun("data_takers")} AS takers,
            {begun("data_level")}::BIGINT AS level, {ended("data_worst")}::BIGINT AS worst,
            {begun("data_bound")}::BIGINT AS bound,
            {ended("data_shed_refused")}::BIGINT AS refused, {ended("data_shed_dropped")}::BIGINT AS dropped,
            {ended("data_shed_expired")}::BIGINT AS expired, {ended("data_remedy")} AS remedy
        FROM telemetry WHERE type IN ('{_STARTED}', '{_ENDED}')
        GROUP BY site, node, data_overrun ORDER BY began DESC"""  # noqa: S608 - of fixed names


def node_health(tables: Tables) -> str | None:
    """Each node as its last summary tells, with the sums of its last day."""
    member = _members(tables)
    if member is None or "data_window_end" not in tables[_STREAM]:
        return None

    def last(name: str) -> str:
        # Of a summary that has no such member, it's null; arg_max alone would take an older one's.
        return f"arg_max(struct_pack(v := {member(name)}), seq).v"

    def day(name: str) -> str:
        return f"coalesce(sum({member(name)}::DOUBLE) FILTER (time > now() - INTERVAL 1 DAY), 0)::BIGINT"

    processes = ",\n".join(
        f"{last(f'data_{name}_up')} AS {name}_up, "
        f"({last(f'data_{name}_memorybytes')} / 1048576)::INTEGER AS {name}_mib, "
        f"count(*) FILTER ({member(f'data_{name}_restarted')} AND time > now() - INTERVAL 1 DAY) AS {name}_restarts"
        for name in ("inference", "sync")
    )
    queues = f"list_sum({member('data_queue_records')})"
    return f"""
        SELECT site, node, max(data_window_end::TIMESTAMPTZ) AS told, {processes},
            arg_max(struct_pack(v := {queues}), seq).v::BIGINT AS waiting,
            ({last("data_disk_free")} / 1048576)::BIGINT AS disk_free_mib,
            {", ".join(f"{day(f'data_counts_{name.lower()}')} AS {label}" for name, label in _DAY_SUMS)}
        FROM (SELECT * FROM telemetry WHERE type = '{_SUMMARY}')
        GROUP BY site, node ORDER BY site, node"""  # noqa: S608 - of fixed names


def node_counts(tables: Tables) -> str | None:
    """What nodes counted, by day and what it is told apart by; `…` stands for what a summary had no room for."""
    member = _members(tables)
    if member is None or "data_by" not in tables[_STREAM]:
        return None
    return f"""
        SELECT day, site, node, entry->>0 AS signal, array_to_string(list_transform(
                range(1, json_array_length(entry)::BIGINT - 1), lambda i: entry->>i::INTEGER), ' ') AS what,
            sum((entry->>-1)::BIGINT)::BIGINT AS count
        FROM (
            SELECT time::DATE AS day, site, node, unnest(data_by::JSON[]) AS entry
            FROM telemetry WHERE type = '{_SUMMARY}' AND data_by IS NOT NULL
        ) GROUP BY ALL ORDER BY day DESC, site, node, signal, count DESC"""  # noqa: S608 - of fixed names


def node_durations(tables: Tables) -> str | None:
    """Quantiles of the last day, in seconds, a third too high at most: of the model's run, of appends, and of lags."""
    columns = {
        "latency": "data_sketches_latency",
        "append": "data_sketches_append",
        "lag_durable": "data_sketches_lagdurable",
        **{f"lag_stored {tier}": f"data_sketches_lagstored_{tier.lower()}" for tier in _TIERS},
    }
    there = {name: column for name, column in columns.items() if column in tables.get(_STREAM, frozenset())}
    if not there:
        return None
    parts = " UNION ALL ".join(
        f"SELECT site, node, '{name}' AS what, {column} AS sketch FROM telemetry "  # noqa: S608 - of fixed names
        f"WHERE {column} IS NOT NULL AND time > now() - INTERVAL 1 DAY"
        for name, column in there.items()
    )

    def quantile(q: float) -> str:
        return f"pow(10, min(bucket) FILTER (below >= {q} * total) / {_PER_DECADE}.0) AS p{round(q * 100)}_s"

    return f"""
        WITH buckets AS (
            SELECT site, node, what, sketch[1] * sketch[2 * i] AS bucket, sketch[2 * i + 1] AS n
            FROM (SELECT *, unnest(range(1, (len(sketch) + 1) // 2)) AS i FROM ({parts}))
        ), summed AS (SELECT site, node, what, bucket, sum(n) AS n FROM buckets GROUP BY ALL), ranked AS (
            SELECT *, sum(n) OVER (PARTITION BY site, node, what ORDER BY bucket) AS below,
                sum(n) OVER (PARTITION BY site, node, what) AS total
            FROM summed
        )
        SELECT site, node, what, any_value(total)::BIGINT AS count, {quantile(0.5)}, {quantile(0.95)}, {quantile(0.99)}
        FROM ranked GROUP BY ALL ORDER BY site, node, what"""  # noqa: S608 - of fixed names


_DAY_SUMS = (
    ("accepted", "accepted"),
    ("predictions", "predictions"),
    ("rollbacks", "rollbacks"),
    ("retries", "retries"),
    ("errors", "errors"),
    ("dropped", "dropped"),
    ("refused", "refused"),
    ("expired", "expired"),
    ("damagedBytes", "damaged_bytes"),
    ("damagedBlobs", "damaged_blobs"),
    ("rebuiltFeatures", "rebuilt_features"),
    ("wireBytes", "wire_bytes"),
)


def _members(tables: Tables) -> Member | None:
    """How to ask for a member; None if no node ever told of itself."""
    columns = tables.get(_STREAM)
    if columns is None:
        return None
    return lambda name: name if name in columns else "NULL"
