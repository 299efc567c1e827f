"""Pipelines of codes: the same calls, files and commands as those of numbers."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from textok.cli.main import main
from textok.config import SamplingConfig
from textok.config.tokenizer import CodebookConfig
from textok.data.pixels import to_pil
from textok.generator import MaskGIT
from textok.latents import LatentScale
from textok.pipeline import PipelineParts, Reconstructor, TextToImage, load_pipeline
from textok.runtime.png import read_png_note
from textok.tokenizer import Tokenizer
from textok.types import Condition, Latents


@pytest.fixture(scope="module")
def pipe(codes_by_text: Path) -> TextToImage:
    return TextToImage.from_pretrained(codes_by_text)


@pytest.fixture
def workplace(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    codes_by_text: Path,
    codes_by_class: Path,
    by_text: Path,
) -> None:
    for name, folder in {
        "prompted": codes_by_text,
        "classed": codes_by_class,
        "numbers": by_text,
    }.items():
        (tmp_path / name).symlink_to(folder)
    monkeypatch.chdir(tmp_path)


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_it_is_the_generator_and_the_decoder_in_turn(pipe: TextToImage) -> None:
    assert pipe._prompts is not None
    text = pipe._prompts(["a red apple"])
    with torch.inference_mode():
        codes = pipe.generator.sample(Condition(text=text), sampling=pipe.sampling, seeds=[7])
        expected = to_pil(pipe.tokenizer.decode(codes, text)[0])

    assert codes.dtype == torch.int64 and codes.shape == (1, 6)
    assert pipe("a red apple", seed=7)[0].tobytes() == expected.tobytes()


def test_a_picture_does_not_depend_on_its_batch(
    pipe: TextToImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.Tensor] = []
    sample = MaskGIT.sample

    def kept(self: MaskGIT, *given: object, **named: object) -> torch.Tensor:
        made.append(sample(self, *given, **named))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(MaskGIT, "sample", kept)
    prompts = ["a red apple", "", "a dog in the snow"]
    pipe(prompts, num_images=3)
    whole = made.pop()
    for batch_size in (1, 2, 4):
        made.clear()
        pipe(prompts, num_images=3, batch_size=batch_size)
        assert torch.equal(torch.cat(made), whole)
    assert len(whole.unique(dim=0)) == 9


def test_round_trip(codes_by_text: Path, codes_by_class: Path, tmp_path: Path) -> None:
    for source, ask in ((codes_by_text, "a dog"), (codes_by_class, "food-fruit")):
        pipe = TextToImage.from_pretrained(source)
        folder = pipe.save_pretrained(tmp_path / source.parent.name)
        again = TextToImage.from_pretrained(folder)
        draw, draw_again = (one.of_class if one.classes else one for one in (pipe, again))

        assert draw_again(ask)[0].tobytes() == draw(ask)[0].tobytes()
        assert isinstance(again.generator, MaskGIT) and again.parts.scale is None
        assert json.loads((folder / "pipeline.json").read_text())["scale"] is None
        assert Reconstructor.from_pretrained(folder).config == pipe.tokenizer.config


def test_the_card_says_what_it_is(codes_by_text: Path, by_text: Path) -> None:
    card = (codes_by_text / "README.md").read_text()
    assert "| latent | 6 tokens of 20 codes = 26 bits |" in card  # 6 log2 20 = 25.9
    assert "| network | MaskGIT (bert), width 32, depth 1, 2 heads |" in card
    assert "| sampling | maskgit, 4 steps |" in card
    assert "MaskGIT (Chang et al., CVPR 2022, arXiv 2202.04200) on the tokens of TexTok" in card
    other = (by_text / "README.md").read_text()
    assert "| latent | 4 tokens x 2 |\n| network | DiT, width 32, depth 2, 2 heads |" in other
    assert "| trained by | flow |" in other
    assert "Architecture: DiT (Peebles & Xie, ICCV 2023, arXiv 2212.09748) on the tokens" in other


def changed(parts: PipelineParts, **settings: object) -> Tokenizer:
    return Tokenizer(replace(parts.tokenizer.config, **settings), text=parts.tokenizer.text_config)


def test_parts_that_do_not_belong_together(codes_by_text: Path, by_text: Path) -> None:
    codes, numbers = load_pipeline(codes_by_text), load_pipeline(by_text)
    scale = LatentScale(torch.zeros(3), torch.ones(3))
    fewer = changed(codes, codebook=CodebookConfig(size=19))
    for parts, change, message in (
        (codes, {"tokenizer": fewer}, r"6 tokens of 20 codes, the tokenizer reads 6 of 19 codes"),
        (codes, {"tokenizer": changed(codes, num_tokens=5)}, r"the tokenizer reads 5 of 20 codes"),
        (codes, {"tokenizer": numbers.tokenizer}, r"the tokenizer reads 4 of no codes: they do no"),
        (codes, {"scale": scale}, r"scale has 3 channels, but codes have none: make it null"),
        (numbers, {"scale": None}, r"scale has 0 channels, the generator has 2"),
        (numbers, {"generator": codes.generator}, r"6 tokens of 20 codes, .* 4 of no codes"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            replace(parts, **change)
        assert "\n" not in str(error.value)


def test_a_folder_with_another_codebook(codes_by_text: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(codes_by_text, tmp_path / "copied"))
    parts = load_pipeline(folder)
    changed(parts, codebook=CodebookConfig(size=30)).save_pretrained(folder / "tokenizer")
    with pytest.raises(ValueError, match=r"copied/pipeline.json: the generator makes 6 tokens of"):
        load_pipeline(folder)


def test_stored_tokens_are_decoded_by_their_codes(codes_by_text: Path) -> None:
    tokenizer = Reconstructor.from_pretrained(codes_by_text)
    latents = tokenizer.encode(torch.rand(2, 3, 16, 16) * 2 - 1)
    stored = Latents(mean=latents.mean.half(), codes=latents.codes)
    assert torch.equal(tokenizer.decode_tensor(stored), tokenizer.decode_tensor(latents))
    with pytest.raises(ValueError, match="codes go from 0 to 20, this codebook has 0 to 19"):
        tokenizer.decode_tensor(Latents(mean=latents.mean, codes=torch.tensor([[0, 20]])))


@pytest.mark.usefixtures("workplace")
def test_generate_and_draw_again(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["a dog", "a cat", *"--model prompted --steps 3 --temperature 2 --guidance 4".split()],
        "--class sky food-fruit --model classed --sampler maskgit --steps 3".split(),
    ):
        given = [*words, *"--num-images 3 --seed 7 --batch-size 4".split()]
        assert main(["generate", *given]) == 0
        assert "6/6" in capsys.readouterr().err  # two batches of three steps
        os.replace("generated/sheet.png", "first.png")
        assert main("generate --repeat first.png".split()) == 0
        assert np.array_equal(pixels("generated/first.png"), pixels("first.png"))
        assert read_png_note(Path("generated/first.png")) == read_png_note(Path("first.png"))
        sampling = read_png_note(Path("first.png"))["request"]["sampling"]
        assert (sampling["sampler"], sampling["steps"]) == ("maskgit", 3)
        assert sampling["temperature"] == (2.0 if "--temperature" in words else 4.5)


@pytest.mark.usefixtures("workplace")
def test_temperature_changes_the_picture() -> None:
    drawn = {}
    for temperature in ("0", "0", "30"):
        words = f"a --model prompted --num-images 1 --temperature {temperature}"
        assert main(["generate", *words.split()]) == 0
        drawn.setdefault(temperature, []).append(pixels("generated/sheet.png"))
    assert np.array_equal(*drawn["0"])
    assert not np.array_equal(drawn["0"][0], drawn["30"][0])


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "dog --model numbers --temperature 2",
            "temperature is for the sampler maskgit, not 'euler': leave it out",
        ),
        ("dog --model prompted --temperature -1", "sampling.temperature is -1.0: it must be >= 0"),
        (
            "dog --model prompted --sampler euler",
            "sampling.sampler 'euler' does not fit a generator of masked tokens: use maskgit",
        ),
        ("dog --model numbers --sampler maskgit", "sampling.sampler 'maskgit' does not fit a gen"),
        (
            "--repeat numbers --temperature 1",
            "--repeat generates what the file says: leave out --temperature",
        ),
    ],
)
def test_mistakes_are_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", *words.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"textok: error: {message}")
    assert error.count("\n") == 1


def test_a_sampling_of_ones_own(pipe: TextToImage) -> None:
    eager = SamplingConfig(sampler="maskgit", steps=1, temperature=0)
    told: list[int] = []
    made = pipe("a dog", sampling=eager, num_images=2, on_step=told.append)
    assert told == [1]
    assert made[0].tobytes() == made[1].tobytes()  # without noise seeds say nothing
