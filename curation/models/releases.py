"""What goes out: written by curation/releases.py alone, never changed afterwards (triggers refuse it)."""

from django.db import models

from curation.models.data import Dataset, Pair
from curation.models.decisions import Decision
from curation.models.people import User


class Release(models.Model):
    """An immutable version of a dataset."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="releases")
    version = models.PositiveIntegerField()  # 1, 2, ... per dataset
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children")
    content_hash = models.CharField(max_length=64)  # sha256 over the rows in order
    manifest = models.JSONField()  # settings, counts, watermarks of the ledger, code version
    notes = models.TextField(blank=True)
    n_rows = models.PositiveIntegerField()
    created_by = models.ForeignKey(User, models.PROTECT, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "version"], name="release_version_once")]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.version}"


class ReleaseRow(models.Model):
    """One row of a release: which response was chosen, how strongly, and which decision says so."""

    release = models.ForeignKey(Release, models.PROTECT, related_name="rows")
    position = models.PositiveIntegerField()
    pair = models.ForeignKey(Pair, models.PROTECT)
    chosen = models.CharField(max_length=1)  # "a" or "b"
    margin = models.FloatField()  # |signed strength|, 0 for a tie kept by policy
    split = models.CharField(max_length=16, default="train")
    decision = models.ForeignKey(Decision, models.PROTECT, null=True)
    row_hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "position"], name="release_row_once"),
            models.CheckConstraint(condition=models.Q(chosen__in=["a", "b"]), name="release_row_side"),
        ]
