"""Who gets to see and to change what: every page of the curators, for every role."""

import pytest
from django.urls import reverse

from curation import people
from curation.models import Dataset, Pair, Role
from tests.builders import make_pair

READ = ["dataset", "pairs", "pair", "disagreement", "runs"]
CURATE = ["dataset_settings", "recipe_start"]
WRITE = ["pair_decide", "review_open", "recipe_start"]
OWN = ["members"]


def address(name: str, dataset: Dataset, pair: Pair) -> str:
    workspace = dataset.workspace.slug
    if name in ("members", "workspace", "dataset_new"):
        return reverse(name, args=(workspace,))
    more = (pair.pk,) if name.startswith("pair_") or name == "pair" else ()
    return reverse(name, args=(workspace, dataset.slug, *more))


@pytest.fixture
def pair(dataset) -> Pair:
    return make_pair(dataset, 1)


@pytest.mark.parametrize("name", [*READ, *CURATE, *OWN, "workspace"])
def test_visitors_are_asked_to_sign_in(client, dataset, pair, name):
    response = client.get(address(name, dataset, pair))
    assert response.status_code == 302
    assert response.url.startswith(reverse("sign_in"))


@pytest.mark.parametrize("name", [*READ, *CURATE, *OWN, "workspace"])
def test_people_of_other_workspaces_learn_nothing(client, dataset, pair, stranger, name):
    client.force_login(stranger)
    assert client.get(address(name, dataset, pair)).status_code == 404


@pytest.mark.parametrize("name", [*READ, *CURATE, *OWN])
def test_annotators_see_no_opinions_of_others(client, dataset, pair, annotator, name):
    client.force_login(annotator)
    assert client.get(address(name, dataset, pair)).status_code == 403


@pytest.mark.parametrize("name", READ)
def test_viewers_read(client, dataset, pair, viewer, name):
    client.force_login(viewer)
    assert client.get(address(name, dataset, pair)).status_code == 200


@pytest.mark.parametrize("name", WRITE)
def test_viewers_change_nothing(client, dataset, pair, viewer, name):
    client.force_login(viewer)
    assert client.post(address(name, dataset, pair), {"choice": "drop", "pair": [pair.pk]}).status_code == 403
    pair.refresh_from_db()
    assert pair.pool == "unverified"
    assert not dataset.review_batches.exists()
    assert not dataset.recipes.exists()


@pytest.mark.parametrize("name", [*READ, *CURATE, "workspace"])
def test_curators_open_every_page_but_the_members(client, dataset, pair, curator, name):
    client.force_login(curator)
    assert client.get(address(name, dataset, pair)).status_code == 200
    assert client.get(address("members", dataset, pair)).status_code == 403


def test_a_pair_is_not_shown_under_another_dataset(client, workspace, dataset, pair, curator):
    other = people.get_or_create_dataset(workspace, "other")
    client.force_login(curator)
    for name in ("pair", "pair_decide"):
        url = reverse(name, args=(workspace.slug, other.slug, pair.pk))
        assert (
            client.post(url, {"choice": "drop"}).status_code == 404
            if name == "pair_decide"
            else client.get(url).status_code == 404
        )


def test_the_refusal_says_where_annotators_can_work(client, dataset, pair, annotator):
    client.force_login(annotator)
    page = client.get(address("pairs", dataset, pair)).content.decode()
    assert reverse("judge", args=("lab", "pairs")) in page


def test_annotators_find_their_work_on_the_first_page(client, dataset, pair, annotator):
    client.force_login(annotator)
    page = client.get(reverse("home")).content.decode()
    assert reverse("judge", args=("lab", "pairs")) in page
    assert f'"{reverse("dataset", args=("lab", "pairs"))}"' not in page
    assert "unverified" not in page


def test_owners_of_one_workspace_cannot_take_over_an_account_of_another(client, workspace, stranger, django_user_model):
    owner = people.add_member(workspace, "olga", Role.OWNER, password="olga-password")
    client.force_login(owner)
    client.post(
        reverse("members", args=("lab",)), {"username": stranger.username, "role": "viewer", "password": "a-new-password"}
    )
    stranger.refresh_from_db()
    assert stranger.check_password("sam-password")
    assert workspace.memberships.get(user=stranger).role == "viewer"
