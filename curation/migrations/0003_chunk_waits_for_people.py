from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("curation", "0002_append_only")]
    operations = [
        migrations.AlterField(
            model_name="chunk",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("leased", "Leased"),
                    ("waiting", "Waiting"),
                    ("done", "Done"),
                    ("failed", "Failed"),
                ],
                default="pending",
                max_length=8,
            ),
        ),
    ]
