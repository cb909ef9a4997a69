"""Who may do what in a workspace, as its owners set it."""

import pytest
from django.urls import reverse

from curation import people
from curation.models import Membership, Role, User, Workspace

MEMBERS = reverse("members", args=("lab",))


@pytest.fixture
def owner(client, workspace) -> User:
    user = people.add_member(workspace, "olga", Role.OWNER, password="olga-password")
    client.force_login(user)
    return user


def change(workspace: Workspace, user: User) -> str:
    return reverse("member_change", args=("lab", Membership.objects.get(workspace=workspace, user=user).pk))


def test_an_owner_lets_someone_in_who_can_then_sign_in(client, owner, workspace):
    client.post(MEMBERS, {"username": "nina", "role": "annotator", "password": "a-first-password"})
    assert workspace.memberships.get(user__username="nina").role == "annotator"
    assert client.login(username="nina", password="a-first-password")


@pytest.mark.parametrize(
    "given",
    [
        {"username": "nina", "role": "annotator", "password": "short"},
        {"username": "nina", "role": "annotator", "password": ""},
        {"username": "nina", "role": "emperor", "password": "a-first-password"},
        {"username": "<nina>", "role": "annotator", "password": "a-first-password"},
    ],
)
def test_what_is_wrong_with_a_new_member_is_said_and_nobody_is_added(client, owner, workspace, given):
    response = client.post(MEMBERS, given)
    assert response.status_code == 400
    assert 'class="error"' in response.content.decode()
    assert workspace.memberships.count() == 1


def test_roles_change_and_members_leave(client, owner, workspace, annotator):
    client.post(change(workspace, annotator), {"role": "curator"})
    assert workspace.memberships.get(user=annotator).role == "curator"
    client.post(change(workspace, annotator), {"remove": "1"})
    assert not workspace.memberships.filter(user=annotator).exists()
    assert User.objects.filter(pk=annotator.pk).exists()


@pytest.mark.parametrize("given", [{"role": "viewer"}, {"remove": "1"}])
def test_the_last_owner_stays(client, owner, workspace, curator, given):
    page = client.post(change(workspace, owner), given, follow=True).content.decode()
    assert "A workspace needs an owner" in page
    assert workspace.memberships.get(user=owner).role == "owner"
    people.add_member(workspace, curator.username, Role.OWNER)
    response = client.post(change(workspace, owner), given)
    assert response.url == reverse("home")


def test_members_of_other_workspaces_are_out_of_reach(client, owner, workspace, stranger):
    foreign = Membership.objects.get(user=stranger)
    assert client.post(reverse("member_change", args=("lab", foreign.pk)), {"remove": "1"}).status_code == 404
    assert Membership.objects.filter(pk=foreign.pk).exists()


def test_a_curator_makes_an_empty_dataset_once(client, curator, workspace, viewer):
    url = reverse("dataset_new", args=("lab",))
    client.force_login(curator)
    response = client.post(url, {"name": "Chat pairs", "slug": "chat"}, follow=True)
    assert "No pairs yet" in response.content.decode()
    again = client.post(url, {"name": "Other", "slug": "chat"})
    assert again.status_code == 400
    assert workspace.datasets.get().name == "Chat pairs"
    client.force_login(viewer)
    assert client.post(url, {"name": "No", "slug": "no"}).status_code == 403


def test_settings_of_a_dataset_are_kept_and_bad_ones_refused(client, dataset, curator):
    url = reverse("dataset_settings", args=("lab", "pairs"))
    client.force_login(curator)
    given = {
        "name": "Pairs of chat",
        "description": "From <b>users</b>",
        "source": "The app",
        "licence": "CC-BY-4.0",
        "overlap": "2",
    }
    page = client.post(url, given, follow=True).content.decode()
    assert "From &lt;b&gt;users&lt;/b&gt;" in page
    assert "CC-BY-4.0" in page
    dataset.refresh_from_db()
    assert (dataset.name, dataset.overlap) == ("Pairs of chat", 2)
    assert client.post(url, {**given, "name": "", "overlap": "99"}).status_code == 400
    dataset.refresh_from_db()
    assert (dataset.name, dataset.overlap) == ("Pairs of chat", 2)
