"""What was measured (written by curation/runs.py) and decided (by curation/decisions.py, batches by curation/selection.py)."""

from django.db import models
from django.db.models import Q

from curation.models.data import Dataset, Pair, Pool
from curation.models.people import User
from curation.models.runs import Run


class SignalValue(models.Model):
    """One measurement of one pair. null value: the signal does not apply to this pair."""

    pair = models.ForeignKey(Pair, models.CASCADE, related_name="signals")
    name = models.CharField(max_length=64)  # a name in curation.quality.SIGNALS
    key = models.CharField(max_length=64)  # Run.key: everything that can change the value
    value = models.FloatField(null=True)
    detail = models.JSONField(default=dict)
    run = models.ForeignKey(Run, models.PROTECT, null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pair", "key", "name"], name="signal_once")]
        indexes = [models.Index(fields=["name", "value", "pair"], name="signal_by_value")]


class Consensus(models.Model):
    """What all current judgments of a pair say together. Derived: `manage.py consensus DATASET` rebuilds it."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="consensuses")
    pair = models.ForeignKey(Pair, models.CASCADE, related_name="consensuses")
    method = models.CharField(max_length=32)  # majority, dawid_skene
    probability_a = models.FloatField()
    probability_tie = models.FloatField()
    probability_b = models.FloatField()
    strength = models.FloatField(null=True)  # mean signed strength of those who agree with the verdict
    n_judgments = models.PositiveIntegerField()
    disagreement = models.FloatField()  # entropy of the votes, 0 (all alike) to 1 (evenly split over a, tie, b)
    computed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pair", "method"], name="consensus_once")]
        indexes = [models.Index(fields=["dataset", "method", "-disagreement", "pair"], name="consensus_by_disagreement")]

    @property
    def verdict(self) -> str:
        """'a', 'tie' or 'b', the likeliest; a tie where no side is."""
        if self.probability_a > max(self.probability_tie, self.probability_b):
            return "a"
        return "b" if self.probability_b > max(self.probability_tie, self.probability_a) else "tie"


class Action(models.TextChoices):
    KEEP = "keep"  # the stored label stands
    FLIP = "flip"  # the stored label is turned round
    RELABEL = "relabel"  # a label is given where there was none, or a tie is made or unmade
    DROP = "drop"
    TO_HUMAN = "to_human"


class Decision(models.Model):
    """Why a pair is in the pool it is in. Append-only; the pair's pool changes in the same transaction."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="decisions")
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="decisions")
    run = models.ForeignKey(Run, models.PROTECT, null=True, related_name="decisions")
    user = models.ForeignKey(User, models.PROTECT, null=True)  # set when a person decided
    action = models.CharField(max_length=16, choices=Action.choices)
    reason = models.CharField(max_length=64)  # stable name of the rule that fired
    pool_before = models.CharField(max_length=16, choices=Pool.choices)
    pool_after = models.CharField(max_length=16, choices=Pool.choices)
    strength = models.FloatField(null=True)  # signed label in force afterwards, negative: response_a better; null: none
    detail = models.JSONField(default=dict)  # the figures the rule looked at
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "pair"], condition=Q(run__isnull=False), name="decision_once_per_run")
        ]
        indexes = [
            models.Index(fields=["pair", "-id"], name="decision_latest"),
            models.Index(fields=["dataset", "action", "reason"], name="decision_by_reason"),
        ]


class ReviewBatch(models.Model):
    """Pairs that need people, opened by a run or a curator. annotate.slots turns its items into slots."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="review_batches")
    run = models.OneToOneField(Run, models.PROTECT, null=True, related_name="review_batch")
    title = models.CharField(max_length=200)
    policy = models.CharField(max_length=64)  # disagreement, random, ...
    overlap = models.PositiveSmallIntegerField(default=1)
    created_by = models.ForeignKey(User, models.PROTECT, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    slots_made_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)  # no further slots are handed out


class ReviewItem(models.Model):
    batch = models.ForeignKey(ReviewBatch, models.CASCADE, related_name="items")
    pair = models.ForeignKey(Pair, models.CASCADE, related_name="review_items")
    position = models.PositiveIntegerField()  # most wanted first
    score = models.FloatField(null=True)  # what the policy ordered by
    reason = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "pair"], name="review_item_once")]
        indexes = [models.Index(fields=["batch", "position"], name="review_item_order")]
