"""The ledger cannot be rewritten, not even by mistake: triggers refuse it."""

from django.db import migrations

TABLES = ("curation_judgment", "curation_decision", "curation_release", "curation_releaserow")

FORWARD = """
CREATE FUNCTION concord_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
""" + "".join(
    f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION concord_refuse_change();\n"
    for table in TABLES
)
BACKWARD = "".join(f"DROP TRIGGER append_only ON {table};\n" for table in TABLES) + "DROP FUNCTION concord_refuse_change();"


class Migration(migrations.Migration):
    dependencies = [("curation", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
