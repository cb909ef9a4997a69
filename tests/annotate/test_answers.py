import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.answers import LARGEST_IMBALANCE, VERDICTS, answer_from, order_shown, side_for, turned, verdict_of


@pytest.mark.parametrize(
    ("value", "left", "stored"),
    [
        ("1", "a", -3),
        ("1", "b", 3),
        ("3", "a", -1),
        ("5", "b", -1),
        ("7", "a", 3),
        ("7", "b", -3),
        ("4", "b", 0),
        ("both_bad", "a", 0),
    ],
)
def test_the_button_for_a_side_favours_the_response_shown_there(value, left, stored):
    assert turned(answer_from(value).strength, left) == stored


@given(st.sampled_from(sorted(VERDICTS)), st.sampled_from("ab"))
def test_a_stored_answer_shows_as_the_button_that_gave_it(value, left):
    answer = answer_from(value)
    assert verdict_of(turned(answer.strength, left), answer.tie_kind, left).value == value


@given(st.sampled_from("ab"))
def test_the_stored_order_names_what_came_first(left):
    assert order_shown(left)[0] == left


@given(st.integers(-9, 9), st.integers(-LARGEST_IMBALANCE + 1, LARGEST_IMBALANCE - 1), st.sampled_from("ab"))
def test_the_pair_is_balanced_before_the_person(pair, person, coin):
    drawn = side_for(pair=pair, person=person, coin=coin)
    lean = pair or person
    assert drawn == (coin if lean == 0 else "b" if lean > 0 else "a")


def test_a_person_far_out_of_balance_gets_the_rarer_side():
    assert side_for(pair=-1, person=LARGEST_IMBALANCE, coin="a") == "b"
    assert side_for(pair=1, person=-LARGEST_IMBALANCE, coin="b") == "a"
