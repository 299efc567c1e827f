"""Captions from a server that speaks OpenAI's chat completions."""

from __future__ import annotations

import base64
import io
import os
import random
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from textok.caption.answer import SHOWN, Answer, Failure, Stopped
from textok.caption.post import Fault, post_json
from textok.caption.rate_limiter import RateLimiter
from textok.config.caption import CaptionConfig, EndpointConfig
from textok.config.check import require

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the second attempt of a request, and the most before a later one."""
PATIENCE = 3600.0
"""A server that asks to wait longer than this ends the run."""
JPEG_QUALITY = 90


class Endpoint:
    """Asks about one image a call; calls may run side by side."""

    at_once = 1

    def __init__(
        self, captions: CaptionConfig, config: EndpointConfig, stopping: threading.Event
    ) -> None:
        self.threads = config.concurrency
        self._captions, self._config = captions, config
        self._url = _completions(config.url)
        self._key = read_key(config.key_variable)
        self._limiter = RateLimiter(config.per_minute, stopping)
        self._answered = False
        self._limit = "max_tokens"

    def __call__(self, pictures: Sequence[Image.Image]) -> list[Answer | Failure]:
        answers: list[Answer | Failure] = []
        for picture in pictures:
            try:
                answers.append(self._ask(picture))
            except Stopped:
                if not answers:
                    raise
                break
        return answers

    def _ask(self, picture: Image.Image) -> Answer | Failure:
        content = [
            {"type": "image_url", "image_url": {"url": data_url(picture)}},
            {"type": "text", "text": self._captions.words},
        ]
        attempt = 0
        while True:
            self._limiter.wait()
            try:
                answer = self._request(content)
            except Fault as fault:
                if self._other_limit(fault):
                    continue
                self._check(fault)
                if not fault.passing or attempt == self._config.retries:
                    return self._give_up(fault)
                self._back_off(fault, attempt)
                attempt += 1
            else:
                self._answered = True
                return answer

    def _request(self, content: object) -> Answer:
        body: dict[str, Any] = {
            "model": self._captions.model,
            "messages": [{"role": "user", "content": content}],
            self._limit: self._captions.max_tokens,
        }
        if self._captions.temperature is not None:
            body["temperature"] = self._captions.temperature
        reply = post_json(self._url, body, key=self._key, timeout=self._config.timeout)
        return read_answer(reply)

    def _other_limit(self, fault: Fault) -> bool:
        """Whether the server wants max_tokens by its newer name; from then on it gets that."""
        newer = "max_completion_tokens"
        if fault.status != 400 or newer not in fault.reason or self._limit == newer:
            return False
        self._limit = newer
        return True

    def _back_off(self, fault: Fault, attempt: int) -> None:
        """Wait as long as the server asks, all of us; else twice as long each time, with jitter."""
        if fault.retry_after is not None:
            self._limiter.hold(fault.retry_after)
            # Those who were sent away together do not come back together.
            self._limiter.sleep(fault.retry_after + random.uniform(0, FIRST_WAIT))
        else:
            wait = min(FIRST_WAIT * 2**attempt, LONGEST_WAIT)
            self._limiter.sleep(wait * random.uniform(0.5, 1))

    def _check(self, fault: Fault) -> None:
        """Raises ValueError where every other request would fare the same."""
        where = f"--endpoint {self._config.url}"
        variable = self._config.key_variable
        says = f"{where} answers {fault.reason}"
        key = f"check the key in {variable}" if self._key else f"no key is set in {variable}"
        require(fault.status != 401, f"{says}: {key}")
        spent = fault.status == 402 or "insufficient_quota" in fault.reason
        require(not spent, f"{says}: the account is used up; the same command goes on later")
        wait = fault.retry_after or 0
        require(
            wait <= PATIENCE,
            f"{says} and asks to wait {wait:.0f} s: the same command goes on later",
        )
        if self._answered:
            return
        require(fault.status != 403, f"{says}: {key}, and that it may use {self._captions.model}")
        require(
            fault.status not in (404, 405),
            f"{says}: check --model {self._captions.model} and the address, which often ends "
            "in /v1",
        )
        require(not 300 <= fault.status < 400, f"{says}: it points elsewhere; give that address")

    def _give_up(self, fault: Fault) -> Failure:
        require(
            self._answered or fault.kind != "connection",
            f"--endpoint {self._config.url} cannot be reached ({fault.reason}): is it running?",
        )
        return Failure(kind=fault.kind, reason=fault.reason)


def read_key(variable: str) -> str:
    """The key in the environment, "" without one. Raises ValueError, which does not show it."""
    key = os.environ.get(variable, "").strip()
    good = key.isascii() and key.isprintable() and " " not in key
    require(good, f"{variable} holds no key: there are spaces or unprintable letters in it")
    return key


def data_url(picture: Image.Image) -> str:
    """The image inside an address, as JPEG."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def read_answer(reply: object) -> Answer:
    """The first choice of a chat completion. Raises Fault for anything else."""
    fields: Mapping[str, Any] = reply if isinstance(reply, Mapping) else {}
    try:
        choice = fields["choices"][0]
        message = choice["message"]
        text = _text(message.get("content"))
        finish, refused = choice.get("finish_reason"), message.get("refusal") or ""
    except (LookupError, TypeError, AttributeError):
        error = fields.get("error")
        what = f"an error: {error}" if error else "no answer in its choices"
        raise Fault("bad answer", f"JSON with {what}"[:SHOWN]) from None
    usage = fields.get("usage")
    counts: Mapping[str, Any] = usage if isinstance(usage, Mapping) else {}
    tokens_in, tokens_out = counts.get("prompt_tokens"), counts.get("completion_tokens")
    return Answer(
        text=text,
        tokens_in=tokens_in if isinstance(tokens_in, int) else None,
        tokens_out=tokens_out if isinstance(tokens_out, int) else None,
        cut=finish == "length",
        refused=str(refused or ("content_filter" if finish == "content_filter" else "")),
    )


def _text(content: object) -> str:
    """Content as it comes: a text, nothing, or a list of parts."""
    if isinstance(content, list):
        return "".join(str(part["text"]) for part in content if part.get("type") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError
    return content or ""


def _completions(url: str) -> str:
    require("@" not in urlsplit(url).netloc, "--endpoint: leave user and password out of it")
    base = url.rstrip("/")
    return base if base.endswith("/chat/completions") else f"{base}/chat/completions"
