from __future__ import annotations

import pytest

from textok.caption.answer import Answer, Failure, judge


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("A red cat.", "A red cat."),
        ('  "A red\n\n cat." ', "A red cat."),
        ("“A red cat.”", "A red cat."),
        ("<think>hm, a cat\n</think>\n\nA red cat.", "A red cat."),
        ('"Stop" is written on "a sign".', 'Stop" is written on "a sign".'),
        ("A sign that says: I cannot swim.", "A sign that says: I cannot swim."),
        ("Sorry! is the name of the board game.", "Sorry! is the name of the board game."),
        ("Icons of a cat", "Icons of a cat"),
        ("猫", "猫"),
    ],
)
def test_a_caption_is_one_line_without_wrapping(text: str, caption: str) -> None:
    if caption.startswith("Stop"):  # quotes that do not belong together stay
        caption = text
    assert judge(Answer(text=text), max_words=20) == caption


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(text="I'm sorry, but I can't help with that."), "refusal"),
        (Answer(text="I’m unable to see it."), "refusal"),
        (Answer(text="Sorry, I cannot describe people."), "refusal"),
        (Answer(text="Unfortunately, I am not able to."), "refusal"),
        (Answer(text="I don't see any image."), "refusal"),
        (Answer(text="As an AI language model, ..."), "refusal"),
        (Answer(text="A cat", refused="content_filter"), "refusal"),
        (Answer(text=""), "empty"),
        (Answer(text=' "..."\n'), "empty"),
        (Answer(text="<think>what is it"), "truncated"),
        (Answer(text="A cat on", cut=True), "truncated"),
        (Answer(text="cat " * 21), "too long"),
    ],
)
def test_what_is_no_caption_has_a_kind(answer: Answer, kind: str) -> None:
    judged = judge(answer, max_words=20)
    assert isinstance(judged, Failure) and judged.kind == kind
