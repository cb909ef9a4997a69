"""Shared fixtures: the people every test knows. The servers and the environment are in environment.py."""

import pytest

from curation import people
from curation.models import Dataset, Role, User, Workspace


@pytest.fixture(autouse=True)
def fast_passwords(settings) -> None:
    """Hashing as slow as in production would take most of the tests' time."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def workspace(db) -> Workspace:
    return people.get_or_create_workspace("lab", "Lab")


@pytest.fixture
def dataset(workspace) -> Dataset:
    return people.get_or_create_dataset(workspace, "pairs")


@pytest.fixture
def curator(workspace) -> User:
    return people.add_member(workspace, "carla", Role.CURATOR, password="carla-password")


@pytest.fixture
def annotator(workspace) -> User:
    return people.add_member(workspace, "alice", Role.ANNOTATOR, password="alice-password")


@pytest.fixture
def annotator_two(workspace) -> User:
    return people.add_member(workspace, "bob", Role.ANNOTATOR, password="bob-password")


@pytest.fixture
def viewer(workspace) -> User:
    return people.add_member(workspace, "vera", Role.VIEWER, password="vera-password")


@pytest.fixture
def stranger(db) -> User:
    other = people.get_or_create_workspace("elsewhere", "Elsewhere")
    return people.add_member(other, "sam", Role.OWNER, password="sam-password")
