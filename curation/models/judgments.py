"""Who judged what: written by curation/judgments.py alone."""

from django.db import models
from django.db.models import Q

from curation.models.data import Dataset, Pair, Response
from curation.models.people import User, Workspace


class JudgeKind(models.TextChoices):
    HUMAN = "human"  # one person, of this app (user set) or of an imported annotator column
    REWARD_MODEL = "reward_model"
    LLM_JUDGE = "llm_judge"
    LIKELIHOOD = "likelihood"
    RULE = "rule"
    IMPORTED = "imported"  # a label that came with the data and names no giver: the stored label, the gold


class Judge(models.Model):
    """Whoever gives judgments, in one exact version. A new version is a new row."""

    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="judges")
    kind = models.CharField(max_length=16, choices=JudgeKind.choices)
    name = models.CharField(max_length=200)  # what pages show: "GPT-4", "stored label", "annotator 3"
    method = models.CharField(max_length=200, blank=True)  # template or protocol: "Vanilla", "pairwise_v1"
    version = models.CharField(max_length=64, blank=True)  # model revision + template hash + parameters, as one hash
    spec = models.JSONField(default=dict)  # everything the version stands for
    user = models.ForeignKey(User, models.PROTECT, null=True, related_name="judges")
    is_gold = models.BooleanField(default=False)  # its labels are taken as truth when others are measured
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "kind", "name", "method", "version"], name="judge_once"),
            models.UniqueConstraint(fields=["workspace", "user"], condition=Q(user__isnull=False), name="judge_once_per_user"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.method})" if self.method else self.name


class TieKind(models.TextChoices):
    NONE = "", "a side is better"
    TIE = "tie", "equally good"
    BOTH_BAD = "both_bad", "both bad"
    CANNOT_JUDGE = "cannot_judge", "cannot judge"
    UNREADABLE = "unreadable", "answer could not be read"


class Judgment(models.Model):
    """One opinion of one judge on one pair. Append-only (a trigger refuses UPDATE and DELETE).

    strength: -3..3, negative when response_a is better (HelpSteer convention), 0 for a tie, null where there is no
    verdict (cannot_judge, unreadable). probability: that response_b is the better one, where the judge gives one.
    A change of mind is a new row whose `supersedes` names the old one; `retracted` takes an answer back.
    """

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="judgments")
    pair = models.ForeignKey(Pair, models.PROTECT, related_name="judgments")
    judge = models.ForeignKey(Judge, models.PROTECT, related_name="judgments")
    strength = models.SmallIntegerField(null=True)
    tie_kind = models.CharField(max_length=16, choices=TieKind.choices, default=TieKind.NONE, blank=True)
    probability = models.FloatField(null=True)
    rationale = models.TextField(blank=True)
    order_shown = models.CharField(max_length=2, blank=True)  # "ab": response_a came first or left; "" not known
    occasion = models.PositiveSmallIntegerField(default=0)  # sample number of a model, repeat number of a person
    seconds = models.FloatField(null=True)
    raw_output = models.TextField(blank=True)
    detail = models.JSONField(default=dict)  # scores, tokens, published verdict, ... whatever else the source gave
    guideline = models.CharField(max_length=64, blank=True)  # version in force when a person answered
    client_id = models.UUIDField(null=True, unique=True)  # made by the browser: sending twice stores once
    supersedes = models.OneToOneField("self", models.PROTECT, null=True, related_name="superseded_by")
    retracted = models.BooleanField(default=False)
    run = models.ForeignKey("Run", models.PROTECT, null=True, related_name="judgments")
    imported = models.ForeignKey("Import", models.PROTECT, null=True, related_name="judgments")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pair", "judge", "order_shown", "occasion"], condition=Q(supersedes__isnull=True), name="judgment_once"
            ),
            models.CheckConstraint(
                condition=Q(strength__isnull=True) | Q(strength__range=(-3, 3)), name="judgment_strength_range"
            ),
            models.CheckConstraint(
                condition=Q(probability__isnull=True) | Q(probability__range=(0, 1)), name="judgment_probability_range"
            ),
            models.CheckConstraint(condition=Q(order_shown__in=["", "ab", "ba"]), name="judgment_order_known"),
            models.CheckConstraint(
                condition=Q(retracted=True, strength__isnull=True)
                | Q(tie_kind="", strength__isnull=False) & ~Q(strength=0)
                | Q(tie_kind__in=["tie", "both_bad"], strength=0)
                | Q(tie_kind__in=["cannot_judge", "unreadable"], strength__isnull=True),
                name="judgment_strength_fits_tie_kind",
            ),
        ]
        indexes = [models.Index(fields=["dataset", "judge", "pair"], name="judgment_by_judge")]


class Reward(models.Model):
    """One scalar per response and judge."""

    response = models.ForeignKey(Response, models.CASCADE, related_name="rewards")
    judge = models.ForeignKey(Judge, models.PROTECT, related_name="rewards")
    value = models.FloatField()
    run = models.ForeignKey("Run", models.PROTECT, null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["response", "judge"], name="reward_once")]
