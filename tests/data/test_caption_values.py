"""What counts as a caption, in which encoding, and where one ends and the next begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder
from textok.config import DataConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.captions import caption_columns, clean_captions, field_captions, split_text
from textok.data.report import ReadReport
from textok.data.text_files import EncodingError, decode_text

IMAGE = encoded(50)
PROSE = "A red car.\n\n**Background:**\n- a wall\n- a lamp\n\nCalm."


def opened(path: Path, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), **options), image_size=8)


@pytest.mark.parametrize(
    ("value", "captions"),
    [
        ("  a cat ", ("a cat",)),
        (["a", None, "", "b"], ("a", "b")),
        (7, ("7",)),
        (1.5, ("1.5",)),
        ([["a"], ["b"]], ("a", "b")),
        ('["a, b", "c"]', ("a, b", "c")),
        ("['a', 'b']", ("a", "b")),
        ("[ 'a', \"b's\" ]", ("a", "b's")),
        ("['A man sits.'\n 'A person, on a chair.']", ("A man sits.", "A person, on a chair.")),
        ("[['a' \"it's\"]\n ['c' 'd']]", ("a", "it's", "c", "d")),
        ("array(['a', 'b'], dtype=object)", ("a", "b")),
        ("[np.str_('a cat'), np.str_('b')]", ("a cat", "b")),
        ("[{'raw': 'a cat', 'tokens': ['a', 'cat']}]", ("a cat",)),
        ("[laughs] a man", ("[laughs] a man",)),
        ("['tis] a cat]", ("['tis] a cat]",)),
        ("(masterpiece), (cat)", ("(masterpiece), (cat)",)),
        ("[1, 2]", ("[1, 2]",)),
        ('{"subject": "cat"}', ('{"subject": "cat"}',)),
        ("a\0 cat", ("a cat",)),
        ("a \ud83d cat", ("a  cat",)),
        ([{"raw": "a cat", "tokens": ["a", "cat"]}], ("a cat",)),
        ([{"from": "alice", "text": "a cat"}, {"from": "bob", "text": "b"}], ("a cat", "b")),
        ("None of them", ("None of them",)),
        ("-", ("-",)),
        ("Nat", ("Nat",)),
        ("true", ("true",)),
        (None, ()),
    ],
)
def test_values_that_are_captions(value: object, captions: tuple[str, ...]) -> None:
    report = ReadReport()
    assert clean_captions(value, report) == captions
    assert report.void == report.not_text == 0


QUESTION = {"from": "human", "value": "<image>\nDescribe it."}


@pytest.mark.parametrize(
    "turns",
    [
        *([QUESTION, {"from": name, "value": "a cat"}] for name in ("gpt", "model", "Assistant")),
        [QUESTION, {"from": "llava-7b", "value": "a cat"}, {"from": "llava-7b", "value": "b"}],
        [{"from": "system", "value": "Be kind."}, QUESTION, {"from": "bot", "value": "a cat"}],
        [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "a cat"}]},
        ],
        [
            {"role": "user", "parts": [{"text": "?"}]},
            {"role": "model", "parts": [{"text": "a cat"}]},
        ],
        [{"role": "user", "text": "?"}, {"role": "assistant", "text": "a cat"}],
        [{"role": "assistant", "content": {"type": ["text"], "text": ["a cat"]}}],  # of parquet
        {"user": "?", "assistant": "a cat"},
        json.dumps([QUESTION, {"from": "gpt", "value": "a cat"}]),
    ],
)
def test_of_a_conversation_the_first_answer_is_the_caption(turns: object) -> None:
    report = ReadReport()
    assert clean_captions(turns, report) == ("a cat",) and report.not_text == 0


@pytest.mark.parametrize(
    "value",
    [
        *("nan", "NaN", "None", "NULL", "n/a", "<NA>", float("nan"), "(null)", "nil", "undefined"),
        *(r"\N", "NaT", "False", "{}", "[]", "[ ]", "[None]", "[nan]", "[null]", "#N/A N/A"),
    ],
)
def test_missing_values_of_programs_are_none(value: object) -> None:
    report = ReadReport()
    assert clean_captions([value, "a cat"], report) == ("a cat",) and report.void == 1


@pytest.mark.parametrize("value", ['["x", null]', "['x' None]", "[nan, 'x']"])
def test_missing_values_in_a_written_list(value: str) -> None:
    report = ReadReport()
    assert clean_captions(value, report) == ("x",) and report.void == 1


@pytest.mark.parametrize(
    "value",
    [
        True,
        {"en": "a cat"},
        [QUESTION],
        [{"from": "A", "value": "x"}, {"from": "B", "value": "y"}],
        json.loads("[" * 900 + "]" * 900),
    ],
    ids=["truth", "mapping", "question", "strangers", "deep"],
)
def test_other_values_are_none_and_counted(value: object) -> None:
    report = ReadReport()
    assert clean_captions(value, report) == () and report.not_text == 1


def test_the_first_field_that_has_any_holds() -> None:
    assert field_captions({"caption": "", "text": "full"}) == ("full",)
    assert field_captions({"TEXT": "x", "Captions": ["a", "b"]}) == ("a", "b")
    assert field_captions({"long_caption": "x", "caption_count": 3}) == ("x",)
    assert field_captions({"caption_num": 3}) == ()
    assert field_captions({"caption_rank": "3", "caption_body": "x"}) == ("x",)
    assert field_captions({"caption_rank": "3", "caption_body": ""}) == ()


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        (["caption_count", "caption_en", "caption_de"], ["caption_en"]),
        (["Caption ID", "Caption-Long", "caption_text"], ["caption_text"]),
        (["captionLang", "num_captions", "captionBody"], ["captionBody"]),
        (["source_caption", "caption_source"], ["source_caption"]),
        (["caption_file", "captioner"], []),
        (["caption_id", "caption_0", "caption_1"], ["caption_0", "caption_1"]),
    ],
)
def test_columns_about_captions_have_none(columns: list[str], chosen: list[str]) -> None:
    assert caption_columns(columns) == chosen


@pytest.mark.parametrize(
    ("separator", "captions"),
    [
        ("auto", ("A red car. **Background:** - a wall - a lamp Calm.",)),
        ("file", ("A red car. **Background:** - a wall - a lamp Calm.",)),
        ("paragraph", ("A red car.", "**Background:** - a wall - a lamp", "Calm.")),
        ("line", ("A red car.", "**Background:**", "- a wall", "- a lamp", "Calm.")),
    ],
)
def test_separators(tmp_path: Path, separator: str, captions: tuple[str, ...]) -> None:
    images = opened(
        write_folder(tmp_path, {"a.png": IMAGE, "a.txt": PROSE}), caption_separator=separator
    )
    assert images.records[0].captions == captions
    assert images.report.joined == (separator == "auto")


def test_short_lines_stay_captions_of_their_own() -> None:
    report = ReadReport()
    assert split_text("a cat\n\na dog\n", "auto", report) == ("a cat", "a dog")
    assert split_text("a cat\na dog", "auto", report) == ("a cat", "a dog")
    assert report.joined == 0
    long = "A cat that sits on a mat. " * 8
    assert len(split_text(f"{long}\n\n{long}", "auto", report)) == 1 and report.joined == 1


@pytest.mark.parametrize(
    ("text", "encoding", "used"),
    [
        ("a café", "utf-8", "utf-8"),
        ("a café", "utf-8-sig", "utf-8-sig"),
        ("a café", "utf-16", "utf-16"),
        ("a café", "utf-16-le", "utf-16-le"),
        ("a café", "utf-16-be", "utf-16-be"),
        ("a man’s café", "cp1252", "cp1252"),
    ],
)
def test_encodings_that_show(text: str, encoding: str, used: str) -> None:
    assert decode_text(text.encode(encoding)) == (text, used)


@pytest.mark.parametrize("encoding", ["gb18030", "cp1251", "shift_jis"])
def test_encodings_that_do_not_show_are_refused_by_name(tmp_path: Path, encoding: str) -> None:
    text = {"cp1251": "красная кошка"}.get(encoding, "赤い猫の写真")
    with pytest.raises(EncodingError, match=r"is not UTF-8.*data\.encoding"):
        decode_text(text.encode(encoding))
    assert decode_text(text.encode(encoding), encoding)[0] == text
    files = {"a.png": IMAGE, "a.txt": text.encode(encoding)}
    images = opened(write_folder(tmp_path, files))
    assert images.records[0].captions == () and list(images.report.undecodable) == ["a.txt"]
    assert opened(tmp_path, encoding=encoding).records[0].captions == (text,)


def test_an_encoding_that_is_none_is_refused() -> None:
    for name in ("klingon", "rot13", "base64"):
        with pytest.raises(ValueError, match=r"data\.encoding is "):
            DataConfig(encoding=name)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_tables_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    text = "file_name,caption\na.png,a café\n".encode(encoding)
    images = opened(write_folder(tmp_path, {"captions.csv": text, "a.png": IMAGE}))
    assert images.records[0].captions == ("a café",)
    assert images.report.recoded == (
        {"captions.csv": "Windows-1252"} if encoding == "cp1252" else {}
    )


def test_a_quote_that_is_not_closed_is_named(tmp_path: Path) -> None:
    text = 'file_name,caption\na.png,"a 5 inch" screen\nb.png,"one\nc.png,two\nd.png,three"\n'
    files = {f"{name}.png": IMAGE for name in "abcd"}
    with pytest.raises(ValueError, match=r"captions\.csv line 3: a quote .* takes the next rows"):
        opened(write_folder(tmp_path, {**files, "captions.csv": text}))
    whole = 'file_name,caption\na.png,"one\nof two lines"\n'
    images = opened(write_folder(tmp_path / "x", {"a.png": IMAGE, "captions.csv": whole}))
    assert images.records[0].captions == ("one\nof two lines",)


def test_a_long_field_and_nuls_are_read(tmp_path: Path) -> None:
    text = f"file_name,caption\na.png,{'word ' * 40_000}\nb.png,a\0 cat\n"
    images = opened(write_folder(tmp_path, {"captions.csv": text, "a.png": IMAGE, "b.png": IMAGE}))
    assert len(images.records[0].captions[0]) == 199_999
    assert images.records[1].captions == ("a cat",)


@pytest.mark.parametrize(
    "line", ["[" * 100_000, f'{{"file_name": {"9" * 5_000}}}'], ids=["deep", "digits"]
)
def test_values_that_no_reader_takes(tmp_path: Path, line: str) -> None:
    write_folder(tmp_path, {"metadata.jsonl": line, "a.png": IMAGE})
    with pytest.raises(ValueError, match=r"metadata\.jsonl.*: no JSON") as error:
        opened(tmp_path)
    assert "\n" not in str(error.value)
