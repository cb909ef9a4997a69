"""The HTTP back-end against a real local server that refuses, stalls, breaks off and talks nonsense."""

import time

import pytest

from models_runtime.backends.openai import OpenAIServer
from models_runtime.types import BackendError, GenerationParams, Host, Message, ModelSpec
from tests.models_runtime.chat_server import Reply, chat_server

GREEDY = GenerationParams(max_tokens=5)
NONSENSE = [b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": [1]}}]}', b"\xff", b"null"]


def ask(server, contents, *, params=GREEDY, spec=None, **host):
    """The back-end and its answers to one-message conversations."""
    host = Host(**{"base_url": server.url, "timeout": 5.0, **host})
    backend = OpenAIServer(spec or ModelSpec("openai", "judge-1"), host=host)
    try:
        return backend, backend.generate([(Message("user", content),) for content in contents], params)
    finally:
        backend.close()


def texts(completions):
    return [one.text if one else None for one in completions]


def test_answers_keep_the_order_of_the_questions_whatever_order_they_arrive_in():
    delays = {"q0": 0.2, "q1": 0.1, "q2": 0.0}
    with chat_server(lambda content, _: Reply(text=f"to {content}", seconds=delays[content])) as server:
        backend, found = ask(server, ["q0", "q1", "q2"])
    assert texts(found) == ["to q0", "to q1", "to q2"]
    assert (backend.counts["prompt_tokens"], backend.counts["completion_tokens"]) == (21, 9)
    assert found[0].seconds >= 0.2 > found[2].seconds


def test_the_request_carries_the_model_the_parameters_and_the_key():
    params = GenerationParams(max_tokens=9, temperature=0.5, top_p=0.9, seed=3, stop=("END",), logprobs=True)
    spec = ModelSpec("openai", "judge-1", params={"max_tokens_field": "max_completion_tokens", "extra_body": {"top_k": 1}})
    with chat_server(lambda *_: Reply(text="ok")) as server:
        ask(server, ["q"], params=params, spec=spec, api_key="secret-key")
    assert server.requests[0].authorization == "Bearer secret-key"
    assert server.requests[0].body == {
        "model": "judge-1", "messages": [{"role": "user", "content": "q"}], "max_completion_tokens": 9, "temperature": 0.5,
        "top_p": 0.9, "seed": 3, "stop": ["END"], "logprobs": True, "top_k": 1,
    }  # fmt: skip


def test_no_more_requests_are_under_way_than_the_host_allows():
    with chat_server(lambda *_: Reply(text="ok", seconds=0.05)) as server:
        _, found = ask(server, [f"q{n}" for n in range(12)], concurrency=3)
    assert texts(found) == ["ok"] * 12
    assert server.most_under_way == 3


def test_429_is_tried_again_after_the_time_the_server_asks_for():
    def script(_, before):
        return Reply(429, body=b"slow down", headers={"Retry-After": "0.4"}) if before == 0 else Reply(text="now")

    with chat_server(script) as server:
        _, found = ask(server, ["q"])
    assert texts(found) == ["now"]
    assert server.requests[1].at - server.requests[0].at >= 0.4


def test_errors_of_the_server_and_broken_connections_are_tried_again():
    script = {0: Reply(500, body=b"oops"), 1: Reply(503, body=b"busy"), 2: Reply(hang_up=True)}
    with chat_server(lambda _, before: script.get(before, Reply(text="at last"))) as server:
        _, found = ask(server, ["q"])
    assert texts(found) == ["at last"]
    assert len(server.requests) == 4


def test_one_bad_request_is_named_and_not_repeated_and_the_others_are_answered():
    with chat_server(lambda content, _: Reply(400, body=b"too long") if content == "bad" else Reply(text="fine")) as server:
        backend, found = ask(server, ["one", "bad", "two"])
    assert texts(found) == ["fine", None, "fine"]
    assert list(backend.failures) == [1]
    assert backend.failures[1].permanent
    assert "400: too long" in str(backend.failures[1])
    assert len(server.requests) == 3


def test_a_bad_request_has_no_value_also_when_it_is_alone():
    with chat_server(lambda *_: Reply(400, body=b"too long")) as server:
        backend, found = ask(server, ["bad"])
    assert found == [None]
    assert backend.failures[0].permanent


def test_an_item_the_server_keeps_failing_on_does_not_lose_the_others_and_may_be_asked_again():
    with chat_server(lambda content, _: Reply(500, body=b"oops") if content == "bad" else Reply(text="fine")) as server:
        backend, found = ask(server, ["one", "bad"], attempts=2)
    assert texts(found) == ["fine", None]
    assert not backend.failures[1].permanent
    assert "after 2 tries" in str(backend.failures[1])


def test_a_wrong_key_raises_at_once_and_the_remaining_questions_are_not_sent():
    script, many = (lambda *_: Reply(401, body=b"bad key")), [f"q{n}" for n in range(20)]
    with chat_server(script) as server, pytest.raises(BackendError, match="401: bad key") as caught:
        ask(server, many, concurrency=2, api_key="secret-key")
    assert caught.value.permanent
    assert "secret-key" not in str(caught.value)
    assert len(server.requests) <= 3


def test_a_server_that_is_down_raises_an_error_worth_another_try():
    with chat_server(lambda *_: Reply()) as server:
        pass
    with pytest.raises(BackendError, match="no connection") as caught:
        ask(server, ["q1", "q2"], attempts=2)
    assert not caught.value.permanent


def test_an_answer_that_does_not_come_in_time_is_given_up_without_asking_again():
    with chat_server(lambda content, _: Reply(text="ok", seconds=1.5 if content == "slow" else 0)) as server:
        started = time.monotonic()
        backend, found = ask(server, ["slow", "quick"], timeout=0.3)
        assert time.monotonic() - started < 1.2
    assert texts(found) == [None, "ok"]
    assert not backend.failures[0].permanent
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": [1]}}]}', b"\xff", b"null"]
)
def test_nonsense_in_place_of_a_completion_is_no_value(body):
    with chat_server(lambda content, _: Reply(body=body) if content == "bad" else Reply(text="fine")) as server:
        backend, found = ask(server, ["bad", "good"])
    assert texts(found) == [None, "fine"]
    assert "not a chat completion" in str(backend.failures[0])


def test_a_text_that_is_no_unicode_fails_alone():
    with chat_server(lambda *_: Reply(text="fine")) as server:
        backend, found = ask(server, ["a\ud800b", "日本語 👩‍🚀"])
    assert texts(found) == [None, "fine"]
    assert backend.failures[0].permanent


def test_an_empty_batch_sends_nothing():
    with chat_server(lambda *_: Reply(text="fine")) as server:
        assert ask(server, [])[1] == []
    assert server.requests == []


def test_a_judge_without_an_address_or_a_model_is_refused():
    with pytest.raises(BackendError, match="no address"):
        OpenAIServer(ModelSpec("openai", "judge-1"))
    with pytest.raises(BackendError, match="names no model"):
        OpenAIServer(ModelSpec("openai"), host=Host(base_url="http://127.0.0.1:1/v1"))
