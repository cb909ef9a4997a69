"""Every address of the site with everybody who might try it: an address that is not in the table fails the test."""

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from annotate import guidelines, slots
from curation import importers, people, releases
from curation.models import Dataset, Judgment, Membership, Recipe, Role, Run, User
from tests.annotate.batches import batch_of
from tests.builders import make_decision, make_pair

pytestmark = pytest.mark.django_db(transaction=True)

READ = ("viewer", "curator", "owner")
CURATE = ("curator", "owner")
ANNOTATE = ("annotator", "curator", "owner")
MEMBERS = ("viewer", "annotator", "curator", "owner")
OWN = ("owner",)
SIGNED_IN = ("stranger", *MEMBERS)
EVERYBODY = ("anonymous", *SIGNED_IN)

# name of the address: (who may GET it, who may POST to it). None: the address does not take that method.
ALLOWED = {
    "sign_in": (EVERYBODY, EVERYBODY),
    "sign_out": (None, SIGNED_IN),
    "status": (SIGNED_IN, SIGNED_IN),
    "status_banner": (SIGNED_IN, SIGNED_IN),
    "home": (SIGNED_IN, SIGNED_IN),
    "workspace": (MEMBERS, MEMBERS),
    "members": (OWN, OWN),
    "member_change": (None, OWN),
    "dataset_new": (None, CURATE),
    "import_new": (CURATE, CURATE),
    "imports": (READ, None),
    "import_detail": (READ, None),
    "import_cancel": (None, CURATE),
    "import_issues": (READ, None),
    "dataset": (READ, READ),
    "dataset_settings": (CURATE, CURATE),
    "pairs": (READ, READ),
    "pair": (READ, READ),
    "pair_decide": (None, CURATE),
    "disagreement": (READ, READ),
    "review_open": (None, CURATE),
    "runs": (READ, READ),
    "run": (READ, READ),
    "run_cancel": (None, CURATE),
    "run_retry": (None, CURATE),
    "run_finish": (None, CURATE),
    "recipe_start": (CURATE, CURATE),
    "recipe": (READ, READ),
    "recipe_cancel": (None, CURATE),
    "releases": (READ, READ),
    "release_new": (CURATE, CURATE),
    "release_cut": (None, CURATE),
    "release": (READ, READ),
    "release_manifest": (READ, READ),
    "release_download": (READ, READ),
    "judge": (ANNOTATE, None),
    "judge_submit": (None, ANNOTATE),
    "judge_skip": (None, ANNOTATE),
    "judge_undo": (None, ANNOTATE),
    "judge_draft": (None, ANNOTATE),
    "judge_renew": (None, ANNOTATE),
    "guideline": (MEMBERS, CURATE),
    "guideline_seen": (None, MEMBERS),
    "my_work": (ANNOTATE, None),
    "my_answer": (("annotator",), ("annotator",)),
}
# Allowed to try, but the empty form, or the ticket that is not there, is refused so.
REFUSED_FORMS = {
    "dataset_new",
    "import_new",
    "members",
    "dataset_settings",
    "recipe_start",
    "release_cut",
    "guideline",
    "my_answer",
}
NO_TICKET = {"judge_submit", "judge_skip", "judge_draft", "judge_renew", "guideline_seen"}
OPINION = "SECRET-OPINION"


@pytest.fixture
def people_of(dataset, annotator, curator, viewer, stranger) -> dict[str, User]:
    owner = people.add_member(dataset.workspace, "olga", Role.OWNER, password="olga-password")
    return {"annotator": annotator, "curator": curator, "viewer": viewer, "stranger": stranger, "owner": owner}


@pytest.fixture
def places(dataset, people_of, settings, tmp_path) -> dict[str, object]:
    """One of everything that an address can name."""
    settings.PATHS = type(settings.PATHS)(tmp_path)
    pair = make_pair(dataset, 99)
    make_decision(pair, strength=-1, pool="gold", reason=OPINION)
    version = releases.cut(dataset).version
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n")
    batch_of(dataset, 2)
    mine = slots.submit(slots.claim(dataset, people_of["annotator"]), people_of["annotator"], slots.Answer(strength=1))
    return {
        "workspace": "lab", "dataset": "pairs", "pair_id": pair.pk, "version": version, "profile": "trl_implicit",
        "format": "jsonl", "form": "csv", "judgment_id": mine.judgment.pk,
        "import_id": importers.start_import(dataset, file, file_name=file.name).pk,
        "run_id": Run.objects.create(dataset=dataset, step="signals", key="k").pk,
        "recipe_id": Recipe.objects.create(dataset=dataset, name="triage", definition={"steps": []}).pk,
        "member_id": Membership.objects.get(user=people_of["viewer"]).pk,
    }  # fmt: skip


def patterns(resolver: URLResolver) -> list[URLPattern]:
    return [found for each in resolver.url_patterns for found in (patterns(each) if isinstance(each, URLResolver) else [each])]


def client_of(role: str, people_of: dict[str, User]) -> Client:
    client = Client()
    if role != "anonymous":
        client.force_login(people_of[role])
    return client


def addresses(places: dict[str, object]) -> dict[str, str]:
    """By name; the one that takes back the answer which another address names comes last."""
    found = sorted(patterns(get_resolver()), key=lambda each: each.name == "judge_undo")
    return {each.name: reverse(each.name, kwargs={name: places[name] for name in each.pattern.converters}) for each in found}


def test_every_address_is_in_the_table():
    assert {each.name for each in patterns(get_resolver())} == ALLOWED.keys()


@pytest.mark.parametrize("role", EVERYBODY)
def test_everybody_reaches_exactly_what_the_table_says(role, places, people_of):
    wrong = []
    for name, address in addresses(places).items():
        for method, allowed in zip(("get", "post"), ALLOWED[name], strict=True):
            client = client_of(role, people_of)
            answer = getattr(client, method)(address, {"sent": "1"})
            answer.close()
            got, wanted = (answer.status_code, answer.get("Location", "")), expected(name, method, role, allowed)
            if got[0] not in wanted or (role == "anonymous" and got[0] == 302 and not got[1].startswith("/sign-in/")):
                wrong.append(f"{method} {name}: {got}, expected one of {wanted}")
            if "Content-Security-Policy" not in answer:
                wrong.append(f"{method} {name}: no Content-Security-Policy")
    assert wrong == []


def expected(name: str, method: str, role: str, allowed: tuple[str, ...] | None) -> tuple[int, ...]:
    """Statuses that this person may get. To strangers everything of a workspace looks as if it were not there."""
    if role == "anonymous" and name != "sign_in":
        return (302,)
    if allowed is None:
        return (405,) if role in ALLOWED[name][method == "get"] else (403, 404, 405)
    if role not in allowed:
        return (404,) if role == "stranger" or name == "my_answer" and role in ANNOTATE else (403,)
    if method == "post" and name in REFUSED_FORMS:
        return (400, 422)
    if method == "post" and name in NO_TICKET:
        return (404,)
    return (200, 302)


def test_nobody_without_the_right_changes_anything(places, people_of, dataset):
    before = state_of(dataset)
    for role in ("anonymous", "stranger", "viewer"):
        for name, address in addresses(places).items():
            if role not in (ALLOWED[name][1] or ()):
                client_of(role, people_of).post(
                    address, {"choice": "drop", "pair": places["pair_id"], "remove": "1", "name": "x", "slug": "new", "text": "x"}
                )
    assert state_of(dataset) == before


def state_of(dataset: Dataset) -> dict[str, object]:
    return {
        "members": list(Membership.objects.order_by("pk").values_list("pk", "role")),
        "decisions": dataset.decisions.count(),
        "judgments": Judgment.objects.filter(dataset=dataset).count(),
        "imports": list(dataset.imports.values_list("state", flat=True)),
        "runs": list(dataset.runs.values_list("cancelled_at", "finished_at")),
        "recipes": list(dataset.recipes.values_list("cancelled_at", flat=True)),
        "batches": dataset.review_batches.count(),
        "datasets": dataset.workspace.datasets.count(),
        "releases": dataset.releases.count(),
        "guideline": guidelines.in_force(dataset).version,
    }


def test_an_annotator_meets_no_opinion_of_others_on_any_page(places, people_of, dataset, annotator_two):
    slot = slots.claim(dataset, annotator_two)
    said = slots.submit(slot, annotator_two, slots.Answer(strength=3, rationale=OPINION))
    places["judgment_id"] = said.judgment.pk
    client = client_of("annotator", people_of)
    for method in ("get", "post"):
        for name, address in addresses(places).items():
            if (method, name) == ("post", "sign_out"):
                continue
            answer = getattr(client, method)(address, follow=True)
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            assert OPINION not in body.decode(), (method, name)


def test_the_health_check_and_files_need_no_account_and_carry_the_policy(client):
    for address, status in (("/healthz", 200), ("/static/css/app.css", 200), ("/static/none.css", 404), ("/nothing/", 404)):
        answer = client.get(address)
        answer.close()
        assert answer.status_code == status, address
        assert "default-src 'none'" in answer["Content-Security-Policy"], address
    assert client.post("/healthz").json().keys() == {"database", "broker"}


def test_refusals_of_the_outer_layers_carry_the_policy_too(client, settings):
    assert settings.MIDDLEWARE[0] == "config.middleware.content_security_policy"
    unknown_host = client.get("/", headers={"host": "evil.example"})
    assert (unknown_host.status_code, "Content-Security-Policy" in unknown_host) == (400, True)
    no_token = Client(enforce_csrf_checks=True).post("/sign-in/", {"username": "x", "password": "y"})
    assert (no_token.status_code, "Content-Security-Policy" in no_token) == (403, True)
    settings.SECURE_SSL_REDIRECT = True
    assert "Content-Security-Policy" in Client().get("/")
