"""Every page shows hostile texts as text: nothing in them becomes an element, an attribute or a link that runs."""

import json
import time
from html.parser import HTMLParser

import pytest
from django.urls import get_resolver, reverse

from curation import consensus, importers, judgments, people, releases
from curation.models import Chunk, Judge, JudgeKind, Recipe, Role, Run
from curation.types import STORED_LABEL
from tests.annotate.batches import open_batch
from tests.builders import make_decision, make_pair

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = (
    '"><img src=x onerror=alert(1)><script>alert(2)</script></title></textarea></pre><svg/onload=alert(3)>'
    '[a](javascript:alert(4)) [b](data:text/html,x) ![c](https://evil.example/c.png) <https://a.example/" onclick=x> {{ 7 }}'
    " \N{RIGHT-TO-LEFT OVERRIDE}gnp.exe"
)
SHORT = "</b><script>alert(5)</script>'\" onmouseover=x"


class Reading(HTMLParser):
    """Collects what a browser would run or load that is not ours."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag in ("iframe", "object", "embed", "base", "style", "img") or (tag == "script" and not found.get("src")):
            self.bad.append(f"<{tag}>")
        for name, value in found.items():
            if name.startswith("on") or name == "style":
                self.bad.append(f"<{tag} {name}>")
            if name in ("href", "src", "action", "formaction") and not (value or "").startswith(
                ("/", "?", "#", "https://", "mailto:")
            ):
                self.bad.append(f"<{tag} {name}={value!r}>")
            if name in ("src", "action") and not (value or "").startswith("/"):
                self.bad.append(f"<{tag} {name}={value!r}>")


@pytest.fixture
def hostile(dataset, curator, annotator, settings, tmp_path) -> dict[str, object]:
    """A dataset in which whatever a person, a file or a model can name is hostile. Gives the parts of the addresses."""
    settings.PATHS = type(settings.PATHS)(tmp_path)
    people.add_member(dataset.workspace, curator.username, Role.OWNER)
    people.change_settings(dataset, name=HOSTILE[:200], description=HOSTILE, source=HOSTILE, licence=SHORT)
    pairs = [
        make_pair(
            dataset,
            n,
            prompt=f"{n} {HOSTILE}",
            a=HOSTILE,
            b=f"```{SHORT}\n{HOSTILE}\n```",
            external_id=f"{SHORT}{n}",
            metadata={HOSTILE: [HOSTILE]},
        )
        for n in range(4)
    ]
    stored = judgments.model_judge(dataset.workspace, JudgeKind.IMPORTED, STORED_LABEL, spec={})
    model = judgments.model_judge(dataset.workspace, JudgeKind.LLM_JUDGE, HOSTILE[:150], method=SHORT, spec={"model": HOSTILE})
    person = Judge.objects.create(workspace=dataset.workspace, kind=JudgeKind.HUMAN, name=SHORT)
    for pair in pairs:
        judgments.record(pair, stored, strength=-1)
        judgments.record(pair, model, strength=2, rationale=HOSTILE, raw_output=HOSTILE, detail={SHORT: HOSTILE})
        judgments.record(pair, person, strength=1, rationale=HOSTILE)
    mine = judgments.record(pairs[0], judgments.human_judge(dataset.workspace, curator), strength=1, rationale=HOSTILE)
    consensus.rebuild(dataset)
    make_decision(pairs[0], strength=-1, pool="gold", reason=SHORT[:60], detail={"note": HOSTILE})
    make_decision(pairs[1], strength=0, pool="silver", reason=SHORT[:60])
    run = Run.objects.create(
        dataset=dataset, step="signals", key="k", judge=model, params={SHORT: HOSTILE}, report={SHORT: HOSTILE}
    )
    Chunk.objects.create(run=run, first_pair=1, last_pair=2, n_pairs=2, state="failed", error=HOSTILE, worker=SHORT)
    open_batch(dataset, pairs[2:], title=HOSTILE[:200])
    release = releases.cut(dataset, notes=HOSTILE)
    file = tmp_path / "rows.jsonl"
    bad = [
        {"id": HOSTILE[:150], "prompt": HOSTILE, "response_a": {HOSTILE: 1}, "response_b": "b"},
        {"id": SHORT, HOSTILE: HOSTILE},
    ]
    good = {
        "id": "ok",
        "prompt": "p",
        "response_a": HOSTILE,
        "response_b": "",
        "gold": HOSTILE,
        "labels": [{"annotator": SHORT, "preference": HOSTILE}],
    }
    file.write_text("".join(json.dumps(row) + "\n" for row in [*bad, good]) + HOSTILE)
    imported = importers.start_import(dataset, file, file_name=HOSTILE.replace("/", ""))
    importers.resume(imported.pk)
    return {
        "workspace": "lab", "dataset": "pairs", "pair_id": pairs[0].pk, "version": release.version, "run_id": run.pk,
        "recipe_id": Recipe.objects.create(dataset=dataset, name=SHORT[:64], definition={"steps": []}).pk,
        "import_id": imported.pk, "judgment_id": mine.pk,
    }  # fmt: skip


PAGES = [
    "home", "workspace", "members", "import_new", "imports", "import_detail", "dataset", "dataset_settings", "pairs", "pair",
    "disagreement", "runs", "run", "recipe_start", "recipe", "releases", "release_new", "release", "judge", "guideline",
    "my_work", "my_answer", "status",
]  # fmt: skip


def test_hostile_texts_are_only_ever_text(client, hostile, curator):
    patterns = {each.name: each for part in get_resolver().url_patterns for each in getattr(part, "url_patterns", [part])}
    client.force_login(curator)
    for name in PAGES:
        address = reverse(name, kwargs={part: hostile[part] for part in patterns[name].pattern.converters})
        for query in ({}, {"q": HOSTILE, "code": HOSTILE, "dataset": HOSTILE, "version": "", "reason": HOSTILE, "view": "raw"}):
            answer = client.get(address, query)
            assert answer.status_code == 200, name
            reading = Reading()
            reading.feed(answer.content.decode())
            assert reading.bad == [], name


def test_names_of_downloads_hold_nothing_from_the_data(client, hostile, curator):
    client.force_login(curator)
    for address in (
        "imports/{import_id}/issues.csv",
        "imports/{import_id}/issues.jsonl",
        "releases/{version}/trl_implicit.jsonl",
    ):
        answer = client.get(f"/w/lab/d/pairs/{address.format(**hostile)}")
        assert "script" not in answer["Content-Disposition"]
        assert answer["X-Content-Type-Options"] == "nosniff"
        answer.close()


@pytest.mark.parametrize(
    "text",
    ["word " * 200_000, "[" * 1_000_000, "> " * 19_000, "*_" * 19_000, "`" * 39_000, "- " * 19_000, "a](" * 13_000, "|" * 39_000],
)
def test_enormous_texts_are_shown_in_bounded_time(client, dataset, viewer, text):
    pair = make_pair(dataset, 1, a=text, b=f"{text}.", prompt=f"?{text}")
    client.force_login(viewer)
    started = time.monotonic()
    page = client.get(reverse("pair", args=["lab", "pairs", pair.pk]))
    assert page.status_code == 200
    assert time.monotonic() - started < 8
    assert len(page.content) < 10_000_000
