"""`textok generate`: what it draws into which files, what they say of themselves, and mistakes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from textok.cli.main import main
from textok.config.generator import GuidanceConfig, SamplingConfig
from textok.diffusion.objective import objective
from textok.pipeline import TextToImage
from textok.pipeline.files import slug
from textok.runtime.png import read_png_note
from textok.runtime.sheet import picture_sheet, save_picture


@pytest.fixture(autouse=True)
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_text: Path, by_class: Path
) -> Path:
    (tmp_path / "prompted").symlink_to(by_text)
    (tmp_path / "classed").symlink_to(by_class)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def draw(words: str, *prompts: str) -> None:
    assert main(["generate", *prompts, *words.split()]) == 0


def test_a_sheet_of_prompts_and_seeds(by_text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw("--model prompted --num-images 2 --seed 3 --device cpu", "a red apple", "a dog")
    shown = capsys.readouterr()
    assert shown.out == "generated/sheet.png\n"
    assert "steps" in shown.err and "3/3" in shown.err
    four = TextToImage.from_pretrained(by_text)(["a red apple", "a dog"], num_images=2, seed=3)
    columns = {"seed 3": four[::2], "seed 4": four[1::2]}
    expected = picture_sheet(columns, ["a red apple", "a dog"], cell=128)
    assert np.array_equal(pixels("generated/sheet.png"), np.asarray(expected))


def test_times_can_be_shifted_and_the_file_says_so(
    by_text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--model prompted --num-images 1 --separate --time-shift 3"
    draw(f"{words} --out shifted", "a red apple")
    draw("--model prompted --num-images 1 --separate --out plain", "a red apple")
    name = "000-a-red-apple-0.png"
    pipe = TextToImage.from_pretrained(by_text)
    own = replace(pipe.sampling, time_shift=3.0)
    (expected,) = pipe("a red apple", sampling=own)

    # Times of three steps at s = 3: t' = 3 t / (1 + 2 t) of 2/3 and 1/3.
    times = objective(pipe.generator.config.objective).times(3, shift=own.time_shift)
    assert times.tolist() == pytest.approx([1, 6 / 7, 3 / 5, 0])
    assert np.array_equal(pixels(f"shifted/{name}"), np.asarray(expected))
    assert np.array_equal(np.asarray(pipe("a red apple", time_shift=3)[0]), np.asarray(expected))
    assert not np.array_equal(pixels(f"shifted/{name}"), pixels(f"plain/{name}"))
    assert read_png_note(Path("shifted") / name)["request"]["sampling"]["time_shift"] == 3
    draw(f"--repeat shifted/{name} --out again")
    assert np.array_equal(pixels(f"again/{name}"), np.asarray(expected))
    assert main(["generate", "--repeat", f"shifted/{name}", "--time-shift", "2"]) == 2
    assert "leave out --time-shift" in capsys.readouterr().err
    assert main(["generate", "a", "--model", "prompted", "--time-shift", "0"]) == 2


def test_separate_files(by_text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw("--model prompted --num-images 2 --separate --out new/folder", "a Red apple!", "")
    names = ["000-a-red-apple-0.png", "000-a-red-apple-1.png", "001-0.png", "001-1.png"]
    assert capsys.readouterr().out.split() == [f"new/folder/{name}" for name in names]
    assert sorted(path.name for path in Path("new/folder").iterdir()) == names
    four = TextToImage.from_pretrained(by_text)(["a Red apple!", ""], num_images=2)
    for name, picture in zip(names, four, strict=True):
        assert np.array_equal(pixels(f"new/folder/{name}"), np.asarray(picture))


def test_the_settings_given_are_those_used(by_text: Path) -> None:
    draw(
        "--model prompted --num-images 1 --separate --steps 5 --guidance 4 --sampler heun"
        " --negative blue --caption green",
        "a dog",
    )
    request = read_png_note(Path("generated/000-a-dog-0.png"))["request"]
    sampling = request.pop("sampling")
    assert (sampling["sampler"], sampling["steps"]) == ("heun", 5)
    assert sampling["guidance"]["scale"] == 4.0
    assert request == {
        "model": "prompted",
        "prompts": ["a dog"],
        "classes": [],
        "num_images": 1,
        "seed": 0,
        "negative": "blue",
        "captions": ["green"],
        "decoding": None,
        "batch_size": 16,
    }
    pipe = TextToImage.from_pretrained(by_text)
    asked = SamplingConfig(sampler="heun", steps=5, guidance=GuidanceConfig(scale=4.0))
    drawn = pipe("a dog", sampling=asked, negative="blue", caption="green")[0]
    assert np.array_equal(pixels("generated/000-a-dog-0.png"), np.asarray(drawn))
    other = pipe("a dog", sampling=asked, caption="green")[0]
    assert not np.array_equal(np.asarray(other), np.asarray(drawn))


def test_a_sheet_is_drawn_again(capsys: pytest.CaptureFixture[str]) -> None:
    for model, ask in (
        ("prompted", "dog cat --guidance 4 --caption a b"),
        ("classed", "--class sky food-fruit"),
    ):
        draw(f"{ask} --model {model} --num-images 3 --seed 7 --batch-size 4")
        os.replace("generated/sheet.png", f"{model}.png")
        draw(f"--repeat {model}.png")
        assert capsys.readouterr().out.endswith(f"generated/{model}.png\n")
        assert np.array_equal(pixels(f"generated/{model}.png"), pixels(f"{model}.png"))
        assert read_png_note(Path(f"generated/{model}.png")) == read_png_note(Path(f"{model}.png"))


def test_each_single_picture_is_drawn_again_in_its_batch() -> None:
    prompts = ["a dog", "a cat", "a red apple", "a lamp"]
    draw("--model prompted --num-images 3 --separate --batch-size 5 --caption a b c d", *prompts)
    files = sorted(Path("generated").iterdir())
    assert len(files) == 12
    for path in files:
        draw(f"--repeat {path} --out again")
        assert np.array_equal(pixels(Path("again") / path.name), pixels(path))
    notes = [read_png_note(path) for path in files]
    asked = [note["request"]["prompts"] for note in notes]
    assert asked[0] == ["a dog", "a cat"]  # only those of the first five pictures
    assert asked[5] == asked[9] == ["a cat", "a red apple", "a lamp"]
    assert asked[11] == ["a lamp"]
    places = [(note["start"], note["picture"]) for note in notes]
    assert [places[at] for at in (0, 4, 5, 9, 10, 11)] == [
        (0, 0),
        (0, 4),
        (2, 2),
        (2, 6),
        (1, 1),
        (1, 2),
    ]


def test_a_model_that_was_moved_can_be_named() -> None:
    draw("dog --model prompted --num-images 1")
    os.replace("prompted", "elsewhere")
    before = pixels("generated/sheet.png")
    assert main("generate --repeat generated/sheet.png".split()) == 2
    draw("--repeat generated/sheet.png --model elsewhere")
    assert np.array_equal(pixels("generated/sheet.png"), before)


def test_prompts_come_from_a_file_too() -> None:
    Path("prompts.txt").write_text(
        "\ufeff# fruit\na red apple\n\n  a pear, 梨  \n", encoding="utf-8"
    )
    draw("--prompts prompts.txt --model prompted --num-images 1", "a dog")
    note = read_png_note(Path("generated/sheet.png"))
    assert note["request"]["prompts"] == ["a dog", "a red apple", "a pear, 梨"]


def test_a_long_prompt_is_noted_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    draw("--model prompted --num-images 1", "dog " * 40)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "textok: note: text cut after '... dog dog dog dog': minilm reads 16 tokens"
    assert sum(line.startswith("textok: ") for line in lines) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "nothing to generate: give a prompt, --prompts FILE or --class NAME"),
        ("dog --class sky", "prompts and --class: give one of them"),
        ("--prompts nowhere.txt", "nowhere.txt: No such file or directory"),
        ("--prompts empty.txt", "empty.txt: holds no prompt; write one a line"),
        ("--prompts plain.png", "plain.png: not a text file in UTF-8"),
        ("--prompts zeros.txt", "zeros.txt: not a text file in UTF-8"),
        ("--prompts classed", "classed: a folder, where a file is needed"),
        ("--class sky --model prompted", "this generator takes prompts, not classes"),
        ("dog --model classed", "this generator takes classes, not prompts: ask with"),
        ("--class skies --model classed", "class 'skies' is unknown to this generator of 3"),
        ("--class sky --negative up --model classed", "class 'up' is unknown"),
        ("dog --steps 0 --model prompted", "sampling.steps is 0: it must be >= 1 and <= 1000"),
        ("dog --steps 1001 --model prompted", "sampling.steps is 1001: it must be"),
        ("dog --guidance -1 --model prompted", "guidance.scale is -1.0: it must be >= 0"),
        ("dog --sampler ddpm --model prompted", "sampling.sampler 'ddpm' does not fit"),
        ("dog --num-images 0", "num_images is 0: it must be >= 1"),
        ("dog --seed -1", "seed is -1: it must be >= 0"),
        ("dog cat owl --caption a b", "2 captions for 3 prompts or classes: give one, or one each"),
        ("dog --model nowhere", "nowhere: no such folder, bundled model"),
        ("dog --model .", ".: holds no pipeline.json"),
        ("dog --out empty.txt", "--out empty.txt: empty.txt is a file; name a folder"),
        ("dog --out empty.txt/a/b", "--out empty.txt/a/b: empty.txt is a file; name a folder"),
        ("dog --device warp --model prompted", "--device warp: not to be had here"),
        ("caf\udce9", "a prompt is 'caf\\udce9', which is no text in UTF-8"),
        ("dog --negative \ud83d", "a prompt is '\\ud83d', which is no text in UTF-8"),
        ("dog --caption \ud83d", "a caption is '\\ud83d', which is no text in UTF-8"),
        ("--repeat nowhere.png", "nowhere.png: No such file or directory"),
        ("--repeat empty.txt", "empty.txt: not a PNG file"),
        ("--repeat plain.png", "plain.png: holds no note of textok"),
        ("--repeat other.png", "other.png: request: a value is needed"),
        ("--repeat newer.png", "newer.png: request.colour: no such field"),
        ("--repeat beyond.png", "beyond.png: picture is 9: it must be >= 0 and <= 3"),
        ("dog --repeat plain.png --seed 3", "--repeat generates what the file says: leave out"),
        (
            "--repeat plain.png --steps 3",
            "--repeat generates what the file says: leave out --st",
        ),
        (
            "--repeat plain.png --separate",
            "--repeat generates what the file says: leave out --sep",
        ),
    ],
)
def test_mistakes_are_one_line(
    words: str, message: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "empty.txt").write_text("\n# nothing\n")
    (workplace / "zeros.txt").write_bytes(bytes(10))
    picture, request = Image.new("RGB", (8, 8)), {"prompts": ["dog"]}
    for name, note in {
        "plain": None,
        "other": {"textok": "1"},
        "newer": {"textok": "9", "request": {**request, "colour": 1}},
        "beyond": {"textok": "1", "request": request, "picture": 9},
    }.items():
        save_picture(picture, workplace / f"{name}.png", note)
    before = sorted(workplace.iterdir())
    assert main(["generate", *words.split()]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"textok: error: {message}")
    assert shown.err.count("\n") == 1
    assert sorted(workplace.iterdir()) == before


def test_too_many_rows_for_a_sheet(capsys: pytest.CaptureFixture[str]) -> None:
    Path("many.txt").write_text("\n".join(f"number {i}" for i in range(257)))
    assert main("generate --prompts many.txt --model prompted".split()) == 2
    assert "257 rows do not fit on a sheet: write a file each" in capsys.readouterr().err


def test_names_of_files() -> None:
    assert slug("A red, RED apple!") == "a-red-red-apple"
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("苹果 & 梨") == "苹果-梨"
    assert slug("??") == ""
    assert len(slug("word " * 50)) <= 40


def test_the_note_is_plain_json_in_the_file() -> None:
    draw("--model prompted --num-images 1", "a dog")
    with Image.open("generated/sheet.png") as picture:
        note = json.loads(picture.text["textok"])
    assert note["picture"] is None and note["request"]["prompts"] == ["a dog"]
