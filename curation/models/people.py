"""Who works here: written by curation/people.py."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person with a password. What they may do is decided per workspace, by Membership."""

    preferences = models.JSONField(default=dict, blank=True)  # page choices such as wrap or font size


class Workspace(models.Model):
    """A tenant: nothing crosses from one workspace to another."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug


class Role(models.TextChoices):
    OWNER = "owner"  # everything, and who may do what
    CURATOR = "curator"  # imports, recipes, decisions, releases
    ANNOTATOR = "annotator"  # judges pairs, sees own answers only
    VIEWER = "viewer"  # reads what curators see, changes nothing


class Membership(models.Model):
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} in {self.workspace}"
