"""Consensus out of the ledger: who votes, what people's word is worth, and that a rebuild leaves nothing behind."""

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from curation import consensus, judgments, people, queries
from curation.models import Consensus, Dataset, Judge, JudgeKind, Pair, Reward
from curation.types import STORED_LABEL
from tests.builders import make_pair

SIDES = {"a": -1, "b": 1, "tie": 0}


@pytest.fixture
def other(workspace) -> Dataset:
    return people.get_or_create_dataset(workspace, "other")


def judge(workspace, name: str, kind: str = JudgeKind.LLM_JUDGE, **fields) -> Judge:
    spec = {"version": fields.pop("version")} if "version" in fields else {}
    return judgments.model_judge(workspace, kind, name, spec=spec, **fields)


def say(pair: Pair, by: Judge, verdict: str | None, **fields) -> None:
    strength = None if verdict is None else SIDES[verdict]
    tie_kind = {"tie": "tie", None: "unreadable"}.get(verdict, "")
    judgments.record(pair, by, strength=fields.pop("strength", strength), tie_kind=tie_kind, **fields)


def found(pair: Pair, method: str = "majority") -> tuple[float, float, float]:
    row = Consensus.objects.get(pair=pair, method=method)
    return tuple(round(value, 3) for value in (row.probability_a, row.probability_tie, row.probability_b))


def test_every_judge_has_one_vote_and_other_datasets_have_none(workspace, dataset, other):
    pair, elsewhere = make_pair(dataset), make_pair(other)
    one, two = judge(workspace, "one"), judge(workspace, "two")
    say(pair, one, "a", order_shown="ab", strength=-3)
    say(pair, one, "a", order_shown="ba", strength=-2)
    say(pair, two, "a", order_shown="ab")
    say(pair, two, "b", order_shown="ba")
    say(pair, judge(workspace, STORED_LABEL, JudgeKind.IMPORTED), "b")
    say(elsewhere, one, "b")
    assert consensus.rebuild(dataset, method="majority") == 1
    assert found(pair) == (0.5, 0.0, 0.5)
    assert not Consensus.objects.filter(dataset=other).exists()
    assert Consensus.objects.get(pair=pair).n_judgments == 5


def test_strength_is_the_mean_of_those_who_agree_with_the_verdict(workspace, dataset):
    pair = make_pair(dataset)
    for name, strength in (("one", -3), ("two", -2), ("three", 1)):
        say(pair, judge(workspace, name), "a", strength=strength)
    consensus.rebuild(dataset, method="majority")
    row = Consensus.objects.get(pair=pair)
    assert (row.verdict, row.strength, row.disagreement) == ("a", -2.5, pytest.approx(0.5794, abs=1e-4))


def test_unreadable_retracted_and_superseded_judgments_do_not_vote(workspace, dataset, annotator):
    pair, silent = make_pair(dataset, 1), make_pair(dataset, 2)
    say(silent, judge(workspace, "one"), None)
    person = judgments.human_judge(workspace, annotator)
    first = judgments.record(pair, person, strength=-3)
    judgments.record(pair, person, strength=2, supersedes=first)
    judgments.retract(judgments.record(silent, person, strength=1))
    consensus.rebuild(dataset, method="majority")
    assert found(pair) == (0.0, 0.0, 1.0)
    assert not Consensus.objects.filter(pair=silent).exists()


def test_people_of_this_app_have_the_last_word(workspace, dataset, annotator):
    pair = make_pair(dataset)
    for number in range(5):
        say(pair, judge(workspace, f"model {number}"), "a")
    say(pair, judgments.human_judge(workspace, annotator), "b")
    for method in consensus.METHODS:
        consensus.rebuild(dataset, method=method)
        assert found(pair, method) == (0.0, 0.0, 1.0)
    assert Consensus.objects.get(pair=pair, method="majority").disagreement > 0


def test_what_people_said_teaches_how_often_each_judge_errs(workspace, dataset, annotator):
    """Two judges always disagree; people sided with the second wherever they were asked, so it is believed on the last pair."""
    first, second, person = judge(workspace, "one"), judge(workspace, "two"), judgments.human_judge(workspace, annotator)
    pairs = [make_pair(dataset, number) for number in range(13)]
    for number, pair in enumerate(pairs):
        side = "a" if number % 2 else "b"
        say(pair, first, "b" if side == "a" else "a")
        say(pair, second, side)
        if number < 12:
            say(pair, person, side)
    consensus.rebuild(dataset)
    assert found(pairs[12], "dawid_skene")[2] > 0.95


def test_imported_annotators_are_judges_like_any_other(workspace, dataset):
    pair = make_pair(dataset)
    say(pair, judge(workspace, "annotator 1", JudgeKind.HUMAN), "b")
    say(pair, judge(workspace, "model 1"), "a")
    say(pair, judge(workspace, "model 2"), "a")
    consensus.rebuild(dataset, method="majority")
    assert found(pair) == (0.667, 0.0, 0.333)


def test_gold_votes_only_when_asked(workspace, dataset):
    pair, alone = make_pair(dataset, 1), make_pair(dataset, 2)
    gold = judge(workspace, "gold", JudgeKind.IMPORTED, is_gold=True)
    say(pair, judge(workspace, "one"), "a")
    say(pair, gold, "b")
    say(alone, gold, "b")
    assert consensus.rebuild(dataset) == 1
    assert found(pair, "dawid_skene")[0] > 0.5
    assert consensus.rebuild(dataset, use_gold=True) == 2
    assert found(pair, "dawid_skene") == (0.0, 0.0, 1.0)
    assert consensus.rebuild(dataset) == 1
    assert not Consensus.objects.filter(pair=alone).exists()


def test_rewards_vote_where_their_judge_wrote_no_judgment(workspace, dataset):
    pair = make_pair(dataset)
    scorer = judge(workspace, "scorer", JudgeKind.REWARD_MODEL)
    Reward.objects.create(response=pair.response_a, judge=scorer, value=1.5)
    assert consensus.rebuild(dataset, method="majority") == 0
    Reward.objects.create(response=pair.response_b, judge=scorer, value=2.5)
    assert consensus.rebuild(dataset, method="majority") == 1
    assert found(pair) == (0.0, 0.0, 1.0)


def test_a_retrained_model_does_not_vote_twice_on_a_pair(workspace, dataset):
    pair, untouched = make_pair(dataset, 1), make_pair(dataset, 2)
    old, new = (judge(workspace, "head", JudgeKind.REWARD_MODEL, version=version) for version in (1, 2))
    say(pair, old, "a")
    say(pair, new, "b")
    say(untouched, old, "a")
    consensus.rebuild(dataset, method="majority")
    assert (found(pair), found(untouched)) == ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))


def test_rebuilding_replaces_what_changed_and_keeps_one_row_per_method(workspace, dataset):
    pair, taken_back = make_pair(dataset, 1), make_pair(dataset, 2)
    say(pair, judge(workspace, "one"), "a")
    kept = judgments.record(taken_back, judge(workspace, "one"), strength=1)
    consensus.rebuild(dataset, method="majority")
    consensus.rebuild(dataset)
    judgments.retract(kept)
    say(pair, judge(workspace, "two"), "b")
    assert consensus.rebuild(dataset, method="majority") == 1
    assert found(pair) == (0.5, 0.0, 0.5)
    assert set(Consensus.objects.filter(pair=taken_back).values_list("method", flat=True)) == {"dawid_skene"}


def test_memory_holds_numbers_only_and_batches_are_bounded(workspace, dataset, django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr(consensus, "BATCH", 10)
    pairs = [make_pair(dataset, number) for number in range(35)]
    one = judge(workspace, "one")
    judgments.record_many([judgments.NewJudgment(pair.pk, one, 1) for pair in pairs], dataset=dataset)
    with django_assert_max_num_queries(20):
        assert consensus.rebuild(dataset, method="majority") == 35
    ledger = consensus.read_ledger(dataset)
    assert {array.dtype for array in (ledger.pair, ledger.judge, ledger.strength)} == {np.dtype("int32"), np.dtype("float32")}


def test_a_dataset_without_votes_has_no_consensus(dataset):
    make_pair(dataset)
    assert consensus.rebuild(dataset) == 0


def test_command_rebuilds_and_names_what_does_not_exist(workspace, dataset, capsys):
    say(make_pair(dataset), judge(workspace, "one"), "a")
    call_command("consensus", "pairs", "--workspace", "lab", "--method", "majority")
    assert "1 pairs of pairs have a consensus by majority." in capsys.readouterr().out
    with pytest.raises(CommandError, match="there are: pairs"):
        call_command("consensus", "nothing", "--workspace", "lab")
    with pytest.raises(ValueError, match="majority"):
        consensus.rebuild(dataset, method="guess")


@pytest.mark.parametrize(
    ("said", "verdict", "side"), [("aab", "a", -1), (["a", "tie"], "tie", 0), (["b", "tie"], "tie", 0), ("ab", "tie", 0)]
)
def test_where_no_side_leads_the_verdict_is_a_tie_on_every_page(workspace, dataset, said, verdict, side):
    pair = make_pair(dataset)
    stored = judge(workspace, STORED_LABEL, JudgeKind.IMPORTED)
    for number, each in enumerate(said):
        say(pair, judge(workspace, f"judge {number}"), each)
    consensus.rebuild(dataset, method="majority")
    say(pair, stored, "a")
    assert Consensus.objects.get(pair=pair).verdict == verdict
    found = queries.labels_overview(dataset, method="majority")
    assert (found["compared"], found["contradicted"]) == (1, int(side != -1))
