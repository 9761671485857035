"""Answers with what marks them as bad, and what they were made of, as SQL over the tables. Text only.

Members that no record had so far are no columns yet, so each mark is asked for only where there is one.
"""

from collections.abc import Mapping

from skerry_operator.ingest import label_views

# Names of tables and columns are fixed.
# ruff: noqa: S608

Tables = Mapping[str, frozenset[str]]
# Totals of a summary, which are always whole; its breakdowns may have no room for what is rare.
_DAMAGE = ("data_counts_damagedblobs", "data_counts_damagedbytes", "data_counts_rebuiltfeatures")
# Text that is none is nobody's lineage; it must not keep anybody from asking of the others.
_FEATURES = "TRY_CAST(p.features AS JSON)"
_MARKS = ("guardrail", "disagrees", "wrong", "rolled_back")


def answers(tables: Tables) -> str | None:
    """Each prediction: its release, features and marks; `release` is the challenger's where both models ran.

    `guardrail` tripped, the two models disagree, a label says it is wrong, or its node put the release aside.
    """
    columns = tables.get("predictions", frozenset())
    if not {"model", "digest"} <= columns:
        return None

    def member(name: str, missing: str = "NULL") -> str:
        return f"p.{name}" if name in columns else missing

    features = f"json_extract({_FEATURES}, '$[*].stale')" if "features" in columns else None
    stale = (
        f"coalesce(len(list_filter({features}, lambda s: json_array_length(s) > 0)) > 0, false)"
        if features
        else "false"
    )
    sets = (
        f"coalesce(array_to_string(list_transform(list_zip(json_extract_string({_FEATURES}, '$[*].set'), "
        f"json_extract_string({_FEATURES}, '$[*].version')), lambda z: z[1] || ' ' || z[2]), ', '), '')"
        if features
        else "''"
    )
    marks = {
        "guardrail": f"coalesce({member('pair_error')} <> '', false)",
        "disagrees": f"coalesce({member('pair_disagreements', '0')} > 0, false)",
        "wrong": _wrong(tables),
        "rolled_back": _rolled_back(tables),
    }
    return f"""
        WITH damage AS ({_damage(tables)}), marked AS (
        SELECT p.site, p.node, p.epoch, p.seq, p.time, {member("namespace")} AS namespace, p.model,
            coalesce({member("pair_challenger")}, p.digest) AS release, {member("version")} AS version,
            {sets} AS feature_sets, {stale} AS stale,
            coalesce(len(list_filter(d.moments, lambda m: m <= p.time AND m > {_reach(columns)})) > 0, false)
                AS damaged,
            {", ".join(f"{sql} AS {name}" for name, sql in marks.items())}
        FROM predictions p LEFT JOIN damage d ON p.site = d.site AND p.node = d.node
        WHERE p.model IS NOT NULL)
        SELECT *, {" OR ".join(_MARKS)} AS bad FROM marked"""


def bad_answers(tables: Tables) -> str | None:
    """Answers that are alike, and how many of them are bad."""
    if answers(tables) is None:
        return None
    counts = ", ".join(f"count(*) FILTER ({name}) AS {name}" for name in _MARKS)
    return f"""
        SELECT namespace, model, release, any_value(version) AS version, site, node, feature_sets, stale, damaged,
            count(*) AS answers, count(*) FILTER (bad) AS bad, {counts}, min(time) AS first, max(time) AS last
        FROM answers GROUP BY namespace, model, release, site, node, feature_sets, stale, damaged
        ORDER BY bad DESC, answers DESC"""


def _reach(columns: frozenset[str]) -> str:
    """Until when damage may have harmed an answer: for a day, or as long as a feature's window reaches back to it."""
    day = "p.time - INTERVAL 1 DAY"
    if "features" not in columns:
        return day
    since = f"list_min(TRY_CAST(json_extract({_FEATURES}, '$[*].since') AS BIGINT[]))"
    return f"least({day}, coalesce(TRY(make_timestamptz({since})), {day}))"


def _damage(tables: Tables) -> str:
    """When each node told of damage."""
    columns = tables.get("telemetry", frozenset())
    told = [f"coalesce({name}, 0) > 0" for name in _DAMAGE if name in columns]
    if not told or "data_window_start" not in columns:
        return "SELECT '' AS site, '' AS node, NULL::TIMESTAMPTZ[] AS moments WHERE false"
    return (
        "SELECT site, node, list(TRY_CAST(data_window_start AS TIMESTAMPTZ)) AS moments FROM telemetry "
        f"WHERE {' OR '.join(told)} GROUP BY site, node"
    )


def _wrong(tables: Tables) -> str:
    if label_views.labels(tables) is None:
        return "false"
    return """coalesce(p.site || '/' || p.node || '/' || p.epoch || '/' || p.seq IN (
                SELECT prediction FROM labelled_predictions WHERE wrong > 0), false)"""


def _rolled_back(tables: Tables) -> str:
    if "digest" not in tables.get("rollbacks", frozenset()):
        return "false"
    return "coalesce((p.site, p.node, p.digest) IN (SELECT (site, node, digest) FROM rollbacks), false)"
