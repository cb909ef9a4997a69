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


class LastOwner(Exception):
    """A workspace keeps at least one owner, or nobody could let anyone in again."""


def _keep_an_owner(membership: Membership) -> None:
    """Raises LastOwner when this is the only one. Locks the workspace, so that two owners cannot step down at once."""
    Workspace.objects.select_for_update().get(pk=membership.workspace_id)
    others = Membership.objects.filter(workspace=membership.workspace_id, role=Role.OWNER).exclude(pk=membership.pk)
    if membership.role == Role.OWNER and not others.exists():
        raise LastOwner("A workspace needs an owner: make someone else owner first.")


@transaction.atomic
def change_role(membership: Membership, role: Role) -> None:
    """Raises LastOwner instead of leaving the workspace without an owner."""
    if role != Role.OWNER:
        _keep_an_owner(membership)
    Membership.objects.filter(pk=membership.pk).update(role=role)


@transaction.atomic
def remove_member(membership: Membership) -> None:
    """End a membership; the person's account and judgments stay. Raises LastOwner."""
    _keep_an_owner(membership)
    Membership.objects.filter(pk=membership.pk).delete()


def change_settings(dataset: Dataset, **fields: object) -> None:
    """Set the dataset's name, description, source, licence or overlap."""
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.save(update_fields=list(fields))
