"""Rollups of the fleet, put together per window of time, as SQL over the table of the stream `rollups`. Text only.

Members that no record had so far are no columns yet.
"""

from collections.abc import Mapping

from skerry_core.rollups.series import GROUP

# Names of tables and columns are fixed.
# ruff: noqa: S608

Tables = Mapping[str, frozenset[str]]


def rollups_by_stream(tables: Tables) -> str | None:
    """Per stream, field and window: all sites' rollups as one."""
    columns = tables.get("rollups", frozenset())
    models = "data_model" if "data_model" in columns else "NULL"
    return _merged(tables, {"stream": "data_stream"}, f"{models} IS NULL")


def rollups_by_model(tables: Tables) -> str | None:
    """Per release, variant, outcome, field and window of predictions: all sites' rollups as one."""
    if "data_model" not in tables.get("rollups", frozenset()):
        return None
    return _merged(tables, {name: f"data_{name}" for name in GROUP}, "data_model IS NOT NULL")


def _merged(tables: Tables, told_apart: Mapping[str, str], where: str) -> str | None:
    """What one site makes of its records, wrong times and kinds say, must fail no question about the others."""
    columns = tables.get("rollups", frozenset())
    if not {"data_path", "data_kind", "data_state", "data_start", "data_seconds"} <= columns:
        return None
    length = "TRY_CAST(data_length AS DOUBLE)" if "data_length" in columns else "NULL::DOUBLE"
    by = ", ".join(f"{column if column in columns else 'NULL'} AS {name}" for name, column in told_apart.items())
    return f"""
        WITH told AS (
            SELECT site, {by}, data_path AS path, data_kind::VARCHAR AS kind, {length} AS length,
                TRY_CAST(data_start AS TIMESTAMPTZ) AS "start", data_seconds AS seconds, data_state::VARCHAR AS state
            FROM rollups WHERE {where} AND data_state IS NOT NULL
        ), windows AS (
            SELECT * EXCLUDE (site, state), count(DISTINCT site) AS sites, list(state) AS states FROM told GROUP BY ALL
        )
        SELECT * EXCLUDE (states), unnest(rollup_of_kind(states, kind, length)) FROM windows ORDER BY ALL"""
