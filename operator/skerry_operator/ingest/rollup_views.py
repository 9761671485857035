"""Rollups of the fleet, put together per window of time, as SQL over the table of the stream `rollups`. Text only.

Members that no record had so far are no columns yet.
"""

from collections.abc import Mapping

from skerry_core.rollups.series import GROUP

# Names of tables and columns are fixed.
# ruff: noqa: S608

Tables = Mapping[str, frozenset[str]]
_OF_WINDOWS = {
    "path": "data_path",
    "kind": "data_kind",
    "length": "data_length",
    '"start"': "data_start::TIMESTAMPTZ",
    "seconds": "data_seconds",
}


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
    columns = tables.get("rollups", frozenset())
    if not {"data_path", "data_state", "data_start"} <= columns:
        return None
    by = {**told_apart, **_OF_WINDOWS}
    shown = ", ".join(
        f"{column if column.split(':')[0] in columns else 'NULL'} AS {name}" for name, column in by.items()
    )
    return f"""
        WITH merged AS (
            SELECT {shown}, count(DISTINCT site) AS sites, rollup(data_state) AS merged
            FROM rollups WHERE {where} AND data_state IS NOT NULL GROUP BY ALL
        )
        SELECT * EXCLUDE (merged), unnest(merged) FROM merged ORDER BY ALL"""
