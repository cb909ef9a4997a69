"""What comes in: written by curation/importers/ (pools: by curation/decisions.py alone)."""

from django.db import models
from pgvector.django import VectorField

from curation.models.people import User, Workspace


class Dataset(models.Model):
    """Pairs plus their settings in one workspace."""

    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="datasets")
    slug = models.SlugField(max_length=64)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    source = models.TextField(blank=True)  # where the data is from, for the card
    licence = models.CharField(max_length=200, blank=True)  # an SPDX identifier where there is one
    overlap = models.PositiveSmallIntegerField(default=1)  # human labels wanted per reviewed pair
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "slug"], name="dataset_slug_once")]

    def __str__(self) -> str:
        return self.slug


class Prompt(models.Model):
    """One conversation up to the reply: a list of {"role", "content"}; content-hashed, stored once per dataset."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="prompts")
    content_hash = models.BinaryField(max_length=32)  # curation.hashing.content_hash(messages)
    messages = models.JSONField()
    n_chars = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "content_hash"], name="prompt_once")]


class Response(models.Model):
    """One completion of a prompt: a list of messages, almost always a single assistant one; content-hashed."""

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="responses")
    content_hash = models.BinaryField(max_length=32)
    messages = models.JSONField()
    n_chars = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["prompt", "content_hash"], name="response_once")]


class Pool(models.TextChoices):
    UNVERIFIED = "unverified"  # as it came in
    SILVER = "silver"  # labelled by models
    GOLD = "gold"  # labelled or confirmed by people
    DISCARDED = "discarded"  # left out, with a reason
    RECYCLED = "recycled"  # discarded once, used again with chosen and rejected swapped


class Pair(models.Model):
    """Two responses to one prompt, in canonical order.

    The order is the source's own where it names its responses A and B, and that of the content hashes where it does
    not (chosen/rejected files): position never carries the label.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="pairs")
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="pairs")
    response_a = models.ForeignKey(Response, models.CASCADE, related_name="+")
    response_b = models.ForeignKey(Response, models.CASCADE, related_name="+")
    external_id = models.CharField(max_length=200)
    content_key = models.BinaryField(max_length=32)  # hash of prompt and both responses, whatever their order
    row_hash = models.BinaryField(max_length=32)  # hash of the source row, so that a changed row is noticed
    metadata = models.JSONField(default=dict)
    source_line = models.PositiveBigIntegerField(null=True)
    imported = models.ForeignKey("Import", models.PROTECT, null=True, related_name="pairs")
    pool = models.CharField(max_length=16, choices=Pool.choices, default=Pool.UNVERIFIED)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "external_id"], name="pair_external_id_once"),
            models.CheckConstraint(condition=models.Q(pool__in=Pool.values), name="pair_pool_known"),
        ]
        indexes = [
            models.Index(fields=["dataset", "id"], name="pair_by_dataset"),
            models.Index(fields=["dataset", "pool", "id"], name="pair_by_pool"),
            models.Index(fields=["dataset", "content_key"], name="pair_by_content"),
        ]


class Embedding(models.Model):
    """A frozen vector of one text, kept by what was embedded and by what embedded it. Written by curation/steps.py."""

    content_hash = models.BinaryField(max_length=32)  # of the prompt's or response's messages
    model_key = models.CharField(max_length=64)  # ModelSpec.key
    vector = VectorField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model_key", "content_hash"], name="embedding_once")]


class Import(models.Model):
    """One file on its way in. `offset_line` moves in the transaction that stores the rows, so a killed import resumes."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"  # the file as a whole cannot be read; error says why
        CANCELLED = "cancelled"

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="imports")
    file_name = models.CharField(max_length=255)  # as the user called it
    path = models.TextField()  # where the bytes lie
    file_hash = models.CharField(max_length=64, blank=True)  # sha256 of the bytes
    file_bytes = models.BigIntegerField(default=0)
    shape = models.CharField(max_length=32, default="auto")
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    lines_done = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)  # of the file as stored (compressed where it is), for the progress bar
    rows_new = models.BigIntegerField(default=0)
    rows_known = models.BigIntegerField(default=0)  # already there with the same content
    rows_bad = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    claim = models.UUIDField(null=True)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(User, models.PROTECT, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)


class ImportIssue(models.Model):
    """One thing found in one row. `fatal` rows were skipped; the others went in and carry a warning."""

    imported = models.ForeignKey(Import, models.CASCADE, related_name="issues")
    line = models.PositiveBigIntegerField()
    field = models.CharField(max_length=100, blank=True)
    code = models.CharField(max_length=40)  # stable name of the fault, as docs/import.md lists it
    reason = models.TextField()
    excerpt = models.CharField(max_length=300, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    fatal = models.BooleanField()

    class Meta:
        indexes = [models.Index(fields=["imported", "line"], name="issue_by_line")]
