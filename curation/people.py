"""The only writer of users, workspaces and memberships."""

from django.db import transaction

from curation.models import Dataset, Membership, Role, User, Workspace

DEFAULT_WORKSPACE = "main"


def get_or_create_workspace(slug: str = DEFAULT_WORKSPACE, name: str = "") -> Workspace:
    return Workspace.objects.get_or_create(slug=slug, defaults={"name": name or slug.replace("-", " ").capitalize()})[0]


def get_or_create_dataset(workspace: Workspace, slug: str, **fields: object) -> Dataset:
    defaults = {"name": slug.replace("-", " ").capitalize(), **fields}
    return Dataset.objects.get_or_create(workspace=workspace, slug=slug, defaults=defaults)[0]


@transaction.atomic
def add_member(workspace: Workspace, username: str, role: Role, *, password: str | None = None) -> User:
    """The user, made if need be, with this role in the workspace. A password given replaces the old one."""
    user, _ = User.objects.get_or_create(username=username)
    if password is not None:
        user.set_password(password)
        user.save(update_fields=["password"])
    Membership.objects.update_or_create(workspace=workspace, user=user, defaults={"role": role})
    return user
