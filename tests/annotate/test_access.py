"""Every address of the judging pages, with everybody who might try it."""

import pytest
from django.urls import reverse

from annotate import guidelines, slots
from tests.annotate.batches import batch_of

ROLES = ("anonymous", "stranger", "viewer", "annotator", "curator")
# what each role gets, in the order of ROLES: GET for pages, POST for actions; 404 for an action means its ticket was refused
EXPECTED = {
    ("get", "judge"): (302, 404, 403, 200, 200),
    ("post", "judge_submit"): (302, 404, 403, 404, 404),
    ("post", "judge_skip"): (302, 404, 403, 404, 404),
    ("post", "judge_draft"): (302, 404, 403, 404, 404),
    ("post", "judge_renew"): (302, 404, 403, 404, 404),
    ("post", "judge_undo"): (302, 404, 403, 302, 302),
    ("get", "guideline"): (302, 404, 200, 200, 200),
    ("post", "guideline"): (302, 404, 403, 403, 302),
    ("post", "guideline_seen"): (302, 404, 302, 302, 302),
    ("get", "my_work"): (302, 404, 403, 200, 200),
    ("get", "my_answer"): (302, 404, 403, 200, 404),
    ("post", "my_answer"): (302, 404, 403, 302, 404),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "name"), list(EXPECTED))
def test_who_may_reach_what(client, request, dataset, annotator, method, name, role):
    batch_of(dataset, 2)
    guidelines.in_force(dataset)
    outcome = slots.submit(slots.claim(dataset, annotator), annotator, slots.Answer(strength=1))
    if role != "anonymous":
        client.force_login(request.getfixturevalue(role))
    more = [outcome.judgment.pk] if name == "my_answer" else []
    address = reverse(name, args=[dataset.workspace.slug, dataset.slug, *more])
    response = getattr(client, method)(address, {"version": "1", "verdict": "1", "text": "New."} if method == "post" else {})
    assert response.status_code == EXPECTED[method, name][ROLES.index(role)]
    if role == "anonymous":
        assert response.url.startswith(reverse("sign_in"))


@pytest.mark.parametrize("name", ["judge_submit", "judge_skip", "judge_draft", "judge_renew", "judge_undo", "guideline_seen"])
def test_actions_are_not_reached_by_a_link(client, dataset, annotator, name):
    client.force_login(annotator)
    assert client.get(reverse(name, args=[dataset.workspace.slug, dataset.slug])).status_code == 405
