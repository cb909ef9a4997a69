"""Work in progress: written by curation/runs.py alone."""

from django.db import models
from django.db.models import Q

from curation.models.data import Dataset
from curation.models.judgments import Judge
from curation.models.people import User


class Recipe(models.Model):
    """One start of a recipe on a dataset, with its definition frozen. Each step becomes a Run when its turn comes."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="recipes")
    name = models.CharField(max_length=64)
    definition = models.JSONField()  # curation.recipes.Recipe as JSON
    code_version = models.CharField(max_length=64)
    created_by = models.ForeignKey(User, models.PROTECT, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    cancelled_at = models.DateTimeField(null=True)


class Run(models.Model):
    """One execution of one step over a dataset's pairs. Its state is derived from its chunks."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="runs")
    recipe = models.ForeignKey(Recipe, models.PROTECT, null=True, related_name="runs")
    step_no = models.PositiveSmallIntegerField(default=0)
    step = models.CharField(max_length=32)  # a name in curation.steps.STEPS
    params = models.JSONField(default=dict)
    judge = models.ForeignKey(Judge, models.PROTECT, null=True, related_name="runs")
    key = models.CharField(max_length=64)  # hash of step, params, judge and code version: what a stored value stands for
    queue = models.CharField(max_length=8, default="cpu")
    report = models.JSONField(default=dict)  # figures the step wants shown: losses, counts, thresholds
    created_by = models.ForeignKey(User, models.PROTECT, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    woken_at = models.DateTimeField(null=True)  # when the broker was last asked to wake a worker for it
    cancelled_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)  # set by whoever finishes the last chunk

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["recipe", "step_no"], condition=Q(recipe__isnull=False), name="run_once_per_recipe_step"
            ),
            models.CheckConstraint(condition=Q(queue__in=["cpu", "gpu"]), name="run_queue_known"),
        ]
        indexes = [models.Index(fields=["finished_at", "cancelled_at"], name="run_open", condition=Q(finished_at__isnull=True))]


class ChunkState(models.TextChoices):
    PENDING = "pending"  # waits for a worker
    LEASED = "leased"  # a worker holds it until lease_until
    WAITING = "waiting"  # a worker did its part; people have not answered yet
    DONE = "done"
    FAILED = "failed"  # gave up after three attempts; error says why


class Chunk(models.Model):
    """One range of pair ids of a run. Bounds are stored, so that chunk size may change between runs."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="chunks")
    first_pair = models.BigIntegerField()
    last_pair = models.BigIntegerField()  # inclusive
    n_pairs = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=ChunkState.choices, default=ChunkState.PENDING)
    claim = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    n_values = models.PositiveIntegerField(default=0)  # values stored
    n_missing = models.PositiveIntegerField(default=0)  # pairs without a value: unreadable, too long, refused
    error = models.TextField(blank=True)
    worker = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "first_pair"], name="chunk_once")]
        indexes = [models.Index(fields=["run", "state", "id"], name="chunk_to_claim")]


class WorkerBeat(models.Model):
    """A worker that is alive says so every few seconds. Written by curation/workers.py."""

    name = models.CharField(max_length=200, primary_key=True)
    queues = models.JSONField(default=list)
    pid = models.IntegerField()
    seen_at = models.DateTimeField()
