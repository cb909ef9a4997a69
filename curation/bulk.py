"""Many rows in one statement, with an honest count of the new ones."""

from collections.abc import Sequence

from django.db import connection, models

ROWS_PER_STATEMENT = 500


def insert_new(rows: Sequence[models.Model]) -> int:
    """INSERT ... ON CONFLICT DO NOTHING of unsaved objects of one model. Returns how many were not there yet.

    bulk_create(ignore_conflicts=True) does the same but cannot say how many rows went in. Rows meet locks of other
    transactions in the order given, so callers that share rows between workers sort them.
    """
    if not rows:
        return 0
    fields = [field for field in rows[0]._meta.concrete_fields if not field.primary_key]
    table = connection.ops.quote_name(rows[0]._meta.db_table)
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    placeholders = "(" + ", ".join(["%s"] * len(fields)) + ")"
    inserted = 0
    with connection.cursor() as cursor:
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            part = rows[start : start + ROWS_PER_STATEMENT]
            values = [field.get_db_prep_save(field.pre_save(row, True), connection) for row in part for field in fields]
            # Names come from the model alone, values are bound.
            sql = f"INSERT INTO {table} ({columns}) VALUES {', '.join([placeholders] * len(part))} ON CONFLICT DO NOTHING"  # noqa: S608
            cursor.execute(sql, values)
            inserted += cursor.rowcount
    return inserted
