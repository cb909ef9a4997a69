"""The demo's pairs: the truth is the truth, the noise is planted, and the same seed gives the same bytes."""

import json
import random
import re
from datetime import datetime, timedelta

import httpx
import pytest

from config.demo import judges
from config.demo.generator import generate, stored_row
from config.demo.tasks import PROGRAMS, TASKS, run_program


@pytest.mark.parametrize("category", TASKS)
def test_right_and_wrong_differ_for_every_draw(category):
    rng = random.Random(7)
    for _ in range(300):
        task = TASKS[category](rng)
        assert task.right != task.wrong


def test_sums_and_dates_can_be_checked_independently():
    rng = random.Random(3)
    for _ in range(200):
        task = TASKS["arithmetic"](rng)
        x, y, z = (int(n) for n in re.findall(r"\d+", task.question))
        assert int(task.right) == x * y + z
        task = TASKS["dates"](rng)
        days, start = re.match(r"Which date is (\d+) days after (.+)\?", task.question).groups()
        expected = datetime.strptime(start, "%d %B %Y") + timedelta(days=int(days))
        assert datetime.strptime(task.right, "%d %B %Y") == expected


def test_every_wrong_program_fails_where_the_right_one_passes():
    for _, right, wrong, tests in PROGRAMS:
        assert any(run_program(right, test) != run_program(wrong, test) for test in tests)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    rows = [[stored_row(pair) for pair in generate(60, seed)] for seed in (1, 1, 2)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_the_planted_noise_is_where_style_misleads():
    pairs = list(generate(3000, 5))
    wrong = sum(not pair.stored_is_right for pair in pairs) / len(pairs)
    misled = [not pair.stored_is_right for pair in pairs if len(pair.wrong) > 1.5 * len(pair.right)]
    assert 0.19 < wrong < 0.27
    assert sum(misled) / len(misled) > wrong + 0.02


def test_the_pool_does_not_give_the_truth_away():
    pairs = list(generate(400, 1))
    text = json.dumps([stored_row(pair) for pair in pairs])
    assert "stored_is_right" not in text
    assert {"right", "wrong", "truth", "gold"}.isdisjoint(stored_row(pairs[0]))


def test_simulated_judges_answer_over_http_and_have_a_side_bias():
    pairs = list(generate(300, 1))
    firsts = 0
    with judges.serve(pairs) as url, httpx.Client(base_url=url) as client:
        names = [model["id"] for model in client.get("/models").json()["data"]]
        assert names == list(judges.JUDGES)
        for pair in pairs[:80]:
            for order in ((pair.right, pair.wrong), (pair.wrong, pair.right)):
                content = f"{pair.prompt}\n\n<<1>>\n{order[0]}\n<<2>>\n{order[1]}"
                body = {"model": "simulated-small", "messages": [{"role": "user", "content": content}]}
                text = client.post("/chat/completions", json=body).json()["choices"][0]["message"]["content"]
                firsts += text.endswith("[[A]]")
    assert 90 < firsts < 150  # an unbiased judge would pick the first one in 80 of 160
