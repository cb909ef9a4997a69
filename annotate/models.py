"""People at work: slots written by annotate/slots.py, guidelines by annotate/guidelines.py."""

from django.db import models
from django.db.models import Q

from curation.models import Dataset, Judgment, ReviewItem, User


class Guideline(models.Model):
    """Instructions in one version. A change is a new row; judgments name the version they were given under."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="guidelines")
    version = models.PositiveIntegerField()
    text = models.TextField()  # markdown
    created_by = models.ForeignKey(User, models.PROTECT, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "version"], name="guideline_version_once")]

    @property
    def label(self) -> str:
        """As judgments name it."""
        return f"v{self.version}"


class GuidelineSeen(models.Model):
    """A person opened this version, so the drawer need not open by itself again."""

    guideline = models.ForeignKey(Guideline, models.CASCADE, related_name="seen")
    user = models.ForeignKey(User, models.CASCADE)
    seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["guideline", "user"], name="guideline_seen_once")]


class Slot(models.Model):
    """One needed human label: exactly `overlap` of them per review item, so overlap is exact under any concurrency.

    free: annotator is null. leased: annotator set, judgment null, lease_until in the future. answered: judgment set.
    """

    item = models.ForeignKey(ReviewItem, models.CASCADE, related_name="slots")
    number = models.PositiveSmallIntegerField()  # 0 .. overlap-1
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="slots")
    position = models.PositiveIntegerField()  # the item's, copied for the claim's index
    annotator = models.ForeignKey(User, models.PROTECT, null=True, related_name="slots")
    left = models.CharField(max_length=1, blank=True)  # "a" or "b": the response shown on the left, drawn at the claim
    leased_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    draft = models.JSONField(default=dict)
    judgment = models.OneToOneField(Judgment, models.PROTECT, null=True, related_name="slot")
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "number"], name="slot_once"),
            models.UniqueConstraint(
                fields=["item", "annotator"], condition=Q(annotator__isnull=False), name="slot_once_per_annotator"
            ),
            models.CheckConstraint(condition=Q(left__in=["", "a", "b"]), name="slot_side_known"),
            models.CheckConstraint(
                condition=Q(judgment__isnull=True) | Q(annotator__isnull=False), name="slot_answer_has_annotator"
            ),
        ]
        indexes = [
            models.Index(fields=["dataset", "position", "id"], name="slot_to_claim", condition=Q(judgment__isnull=True)),
            models.Index(fields=["annotator", "-answered_at"], name="slot_by_annotator"),
        ]


class Skip(models.Model):
    """This person passed on this pair: the slot went back, and they are not asked again unless they undo it."""

    item = models.ForeignKey(ReviewItem, models.CASCADE, related_name="skips")
    annotator = models.ForeignKey(User, models.CASCADE, related_name="skips")
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "annotator"], condition=Q(undone_at__isnull=True), name="skip_once")
        ]
