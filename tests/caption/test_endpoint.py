from __future__ import annotations

import base64
import io
import threading
import time
from email.utils import formatdate

import pytest
from PIL import Image

from tests.caption.conftest import KEY, Reply, Server, asked, chat, serve, via
from textok.caption.answer import Answer, Failure, Stopped
from textok.caption.endpoint import Endpoint
from textok.caption.rate_limiter import RateLimiter
from textok.config.caption import PROMPTS, CaptionConfig, EndpointConfig

PICTURE = Image.new("RGB", (30, 20), "red")
GOOD = Answer(text="a grey square", tokens_in=100, tokens_out=10)


def ask(
    server: Server, config: CaptionConfig | None = None, **settings: object
) -> Answer | Failure:
    endpoint = Endpoint(config or asked(), via(server, **settings), threading.Event())
    (answer,) = endpoint([PICTURE])
    return answer


def after(*first: Reply, then: Reply | None = None) -> object:
    """A script of a few replies, then good ones."""
    return lambda number, body: first[number] if number < len(first) else then or Reply()


def test_the_request_is_what_openai_documents() -> None:
    with serve(after()) as server:
        assert ask(server, asked(temperature=0.5, detail="short", max_tokens=7)) == GOOD
    (body,) = server.bodies
    assert body["path"] == "/v1/chat/completions"
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("seer", 7, 0.5)
    ((picture, words),) = (message["content"] for message in body["messages"])
    assert words == {"type": "text", "text": PROMPTS["short"]}
    kind, _, data = picture["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (30, 20)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_no_key_is_sent_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with serve(after()) as server:
        assert ask(server) == GOOD
        monkeypatch.setenv("MINE", "other-key")
        assert ask(server, key_variable="MINE") == GOOD
    assert "Authorization" not in server.headers[0]
    assert server.headers[1]["Authorization"] == "Bearer other-key"


PASSING = {
    "a 500": Reply(status=500, body=b"oops"),
    "a 503 without a body": Reply(status=503, body=b"  "),
    "a dropped connection": Reply(drop=True),
    "truncated JSON": Reply(body=b'{"choices": [{"message": '),
    "half of the bytes": Reply(cut=40),
    "a page": Reply(body=b"<html>busy</html>", headers={"Content-Type": "text/html"}),
    "no JSON at all": Reply(body=b"\xff\xfe", headers={"Content-Type": "image/png"}),
    "no choices": Reply(body={"choices": []}),
    "an error with status 200": Reply(body={"error": {"message": "overloaded"}}),
    "choices of null": Reply(body={"choices": [None]}),
    "a number as content": Reply(body=chat(7)),
    "a list": Reply(body=[1, 2]),
    "a slow answer": Reply(wait=0.3),
}


@pytest.mark.parametrize("reply", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_tried_again(reply: Reply) -> None:
    with serve(after(reply, reply)) as server:
        assert ask(server, timeout=0.2, retries=2) == GOOD
    assert server.asked == 3


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (PASSING["a 500"], "http", "500 oops"),
        (PASSING["truncated JSON"], "bad answer", "not JSON but application/json, 25 bytes"),
        (PASSING["a page"], "bad answer", "not JSON but text/html, 17 bytes: <html>busy"),
        (PASSING["no choices"], "bad answer", "JSON with no answer in its choices"),
        (PASSING["an error with status 200"], "bad answer", "overloaded"),
        (PASSING["a slow answer"], "timeout", "no whole answer within 0.2 s"),
    ],
)
def test_what_does_not_pass_is_a_failure(reply: Reply, kind: str, reason: str) -> None:
    with serve(after(then=reply)) as server:
        failure = ask(server, timeout=0.2, retries=1)
    assert server.asked == 2
    assert isinstance(failure, Failure) and failure.kind == kind and reason in failure.reason


def test_a_bad_request_is_not_tried_again() -> None:
    error = {"error": {"message": "the image\nis too small", "code": "bad_image"}}
    with serve(after(then=Reply(status=400, body=error))) as server:
        failure = ask(server)
    assert failure == Failure(kind="http", reason="400 the image is too small (bad_image)")
    assert server.asked == 1


def test_answers_in_other_forms() -> None:
    parts = chat([{"type": "text", "text": "a "}, {"type": "text", "text": "cat"}])
    refusal = chat(message={"content": None, "refusal": "no"})
    filtered = chat("", finish_reason="content_filter")
    cut = chat("a cat on", finish_reason="length")
    bare = {"choices": [{"message": {"content": "a cat"}}], "usage": None}
    replies = [Reply(body=body) for body in (parts, refusal, filtered, cut, bare)]
    with serve(after(*replies)) as server:
        endpoint = Endpoint(asked(), via(server), threading.Event())
        answers = endpoint([PICTURE] * 5)
    assert [(a.text, a.refused, a.cut) for a in answers if isinstance(a, Answer)] == [
        ("a cat", "", False),
        ("", "no", False),
        ("", "content_filter", False),
        ("a cat on", "", True),
        ("a cat", "", False),
    ]
    assert answers[4] == Answer(text="a cat", tokens_in=None, tokens_out=None)


def test_retry_after_is_kept_by_all_requests() -> None:
    wait = Reply(status=429, headers={"Retry-After": "0.4"})
    with serve(after(wait)) as server:
        endpoint = Endpoint(asked(), via(server), threading.Event())
        start = time.monotonic()
        first = threading.Thread(target=endpoint, args=([PICTURE],))
        first.start()
        while not server.asked:
            time.sleep(0.01)
        time.sleep(0.1)
        endpoint([PICTURE])  # another request, which was not refused
        assert time.monotonic() - start > 0.4
        first.join()
    assert server.asked == 3


def test_retry_after_as_a_date() -> None:
    date = formatdate(time.time() + 2, usegmt=True)
    with serve(after(Reply(status=503, headers={"Retry-After": date}))) as server:
        start = time.monotonic()
        assert ask(server) == GOOD
        assert 0.9 < time.monotonic() - start < 3


def test_the_waits_double_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("textok.caption.endpoint.FIRST_WAIT", 1.0)
    monkeypatch.setattr(RateLimiter, "sleep", lambda self, seconds: slept.append(seconds))
    with serve(after(then=Reply(status=500))) as server:
        ask(server, retries=8)
    waits = [seconds for seconds in slept if seconds > 0]
    for wait, full in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60], strict=True):
        assert full / 2 <= wait <= full


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(status=401, body={"error": {"message": f"bad key {KEY}"}}), "401 bad key ***: chec"),
        (Reply(status=403), "that it may use seer"),
        (Reply(status=404, body={"error": "no such model"}), "404 no such model: check --model se"),
        (Reply(status=301, headers={"Location": "http://127.0.0.1:1/"}), "points elsewhere"),
        (Reply(status=402), "used up"),
        (
            Reply(status=429, body={"error": {"message": "pay", "code": "insufficient_quota"}}),
            "pay (insufficient_quota): the account is used up",
        ),
        (Reply(status=429, headers={"Retry-After": "7200"}), "asks to wait 7200 s"),
    ],
)
def test_what_no_request_survives_stops_at_once(reply: Reply, message: str) -> None:
    with serve(after(then=reply)) as server, pytest.raises(ValueError, match="answers") as error:
        ask(server)
    assert message in str(error.value) and KEY not in str(error.value)
    assert "\n" not in str(error.value) and server.asked == 1


def test_after_a_good_answer_a_403_or_404_is_one_images_own() -> None:
    with serve(after(Reply(), Reply(status=403), Reply(status=404), Reply(status=401))) as server:
        endpoint = Endpoint(asked(), via(server), threading.Event())
        answers = endpoint([PICTURE] * 3)
        assert [getattr(answer, "kind", "") for answer in answers] == ["", "http", "http"]
        with pytest.raises(ValueError, match="check the key in OPENAI_API_KEY"):
            endpoint([PICTURE])


def test_a_server_that_is_not_there() -> None:
    with serve(after()) as server:
        pass
    with pytest.raises(ValueError, match=r"cannot be reached \(.*refused\): is it running\?"):
        ask(server, retries=1)
    with (
        pytest.raises(ValueError, match="no key is set in NONE"),
        serve(after(then=Reply(status=401))) as server,
    ):
        ask(server, key_variable="NONE")


def test_the_newer_name_of_the_limit() -> None:
    error = {"error": {"message": "use 'max_completion_tokens' instead"}}

    def script(number: int, body: dict[str, object]) -> Reply:
        return Reply(status=400, body=error) if "max_tokens" in body else Reply()

    with serve(script) as server:
        assert ask(server, retries=0) == GOOD
    assert server.bodies[1]["max_completion_tokens"] == 300


@pytest.mark.parametrize("key", ["two words and more", "a\nb" * 5, "schlüssel-0123"])
def test_a_key_that_is_none_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with serve(after()) as server, pytest.raises(ValueError, match="OPENAI_API_KEY") as error:
        ask(server)
    assert key not in str(error.value) and server.asked == 0


def test_a_user_in_the_address_is_refused() -> None:
    config = EndpointConfig(url="http://me:secret@localhost/v1")
    with pytest.raises(ValueError, match="leave user and password out") as error:
        Endpoint(asked(), config, threading.Event())
    assert "secret" not in str(error.value)


def test_the_pace_is_kept_by_all_threads() -> None:
    pace = RateLimiter(600, threading.Event())
    start = time.monotonic()
    threads = [threading.Thread(target=pace.wait) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.45 < time.monotonic() - start < 1.5


def test_a_stop_ends_the_waiting() -> None:
    stopping = threading.Event()
    with serve(after(then=Reply(status=429, headers={"Retry-After": "600"}))) as server:
        endpoint = Endpoint(asked(), via(server), stopping)
        threading.Timer(0.2, stopping.set).start()
        with pytest.raises(Stopped):
            endpoint([PICTURE])
