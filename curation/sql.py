"""Statements that are plainer in SQL than in the ORM. Read-only; what is put together here are constants, values are bound."""

from typing import Any

from django.db import connection

# Of a table called `judgment`: not taken back and not replaced by a later one. The same as judgments.in_force().
IN_FORCE = "NOT judgment.retracted AND NOT EXISTS (SELECT 1 FROM curation_judgment later WHERE later.supersedes_id = judgment.id)"


def rows(statement: str, **values: object) -> list[dict[str, Any]]:
    """The rows of one statement as dictionaries by column name."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
