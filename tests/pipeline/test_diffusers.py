"""textok behind diffusers' calls."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.hub.conftest import TOKEN, hub
from tests.hub.server import Hub
from textok.cli.main import main
from textok.latents import LatentScale
from textok.pipeline import Reconstructor, TextToImage
from textok.types import Latents

diffusers = pytest.importorskip("diffusers")
from diffusers import DiffusionPipeline  # noqa: E402

from textok.pipeline.diffusers import (  # noqa: E402
    AutoencoderTexTok,
    TexTokPipeline,
    TokenDistribution,
)

__all__ = ["hub"]
PROMPTS = ["a red apple", "an owl"]


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where diffusers copies code of pipelines to."""
    place = str(tmp_path / "modules")
    monkeypatch.setattr("diffusers.utils.dynamic_modules_utils.HF_MODULES_CACHE", place)


@pytest.fixture
def exported(by_text: Path, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    assert main(["export", "diffusers", str(by_text), str(out)]) == 0
    return out


def pixels(images: list[object]) -> list[bytes]:
    return [np.asarray(image).tobytes() for image in images]


def load(name: str | Path, **others: object) -> TexTokPipeline:
    pipe = DiffusionPipeline.from_pretrained(str(name), trust_remote_code=True, **others)
    assert isinstance(pipe, TexTokPipeline)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_an_export_draws_the_same_pixels(by_text: Path, exported: Path, tmp_path: Path) -> None:
    expected = pixels(TextToImage.from_pretrained(by_text)(PROMPTS, num_images=2, seed=3))
    assert len(set(expected)) == 4
    pipe = load(exported)
    drawn = pipe(PROMPTS, num_images_per_prompt=2, seed=3).images
    assert pixels(drawn) == expected
    by_generator = pipe(PROMPTS, num_images_per_prompt=2, generator=torch.manual_seed(3))
    assert pixels(by_generator.images) == expected
    each = [torch.Generator().manual_seed(seed) for seed in (3, 4, 3, 4)]
    assert pixels(pipe(PROMPTS, num_images_per_prompt=2, generator=each).images) == expected
    (array,) = pipe(PROMPTS, seed=3, output_type="np", return_dict=False)
    assert array.shape == (2, 16, 16, 3)
    assert np.array_equal(np.rint(array[0] * 255).astype(np.uint8), np.asarray(drawn[0]))

    by_file = load(exported, custom_pipeline=str(exported / "pipeline.py"))
    assert pixels(by_file(PROMPTS, num_images_per_prompt=2, seed=3).images) == expected


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_saved_pipeline_is_an_export(by_text: Path, exported: Path, tmp_path: Path) -> None:
    pipe, again = load(exported), tmp_path / "again"
    pipe.save_pretrained(again)
    assert files(again) == files(exported)
    pipe.save_pretrained(str(again))  # replaces it
    expected = pixels(TextToImage.from_pretrained(by_text)("an owl"))
    assert pixels(load(again)("an owl").images) == expected
    by_file = load(again, custom_pipeline=str(again / "pipeline.py"))
    assert pixels(by_file("an owl").images) == expected

    small = pipe.save_pretrained(tmp_path / "small", precision=torch.bfloat16)
    weights = "model/generator/model.safetensors"
    assert (small / weights).stat().st_size < 0.6 * (again / weights).stat().st_size

    (again / "photo.png").touch()
    with pytest.raises(ValueError, match=r"again: not an export for diffusers \(photo\.png\)"):
        pipe.save_pretrained(again)
    (tmp_path / "mine" / "model").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"mine: not an export for diffusers \(model\)"):
        pipe.save_pretrained(tmp_path / "mine")
    with pytest.raises(ValueError, match="textok takes no variant"):
        pipe.save_pretrained(tmp_path / "half", variant="fp16")
    with pytest.raises(ValueError, match="textok writes safetensors alone"):
        pipe.save_pretrained(tmp_path / "half", safe_serialization=False)
    with pytest.raises(ValueError, match="subfolder is 'x': textok writes to the top"):
        pipe.push_to_hub("me/x", subfolder="x")
    assert not (tmp_path / "half").exists()


def test_steps_guidance_and_numbers(by_text: Path, exported: Path) -> None:
    ours, pipe = TextToImage.from_pretrained(by_text), load(exported)
    asked = ours("an owl", steps=2, guidance=3.0, negative="a sky")
    drawn = pipe(
        "an owl", num_inference_steps=2, guidance_scale=3.0, negative_prompt="a sky"
    ).images
    assert pixels(drawn) == pixels(asked) != pixels(ours("an owl"))
    half = load(exported, torch_dtype=torch.bfloat16)
    assert half.model.dtype == torch.bfloat16


def test_classes(by_class: Path, tmp_path: Path) -> None:
    assert main(["export", "diffusers", str(by_class), str(tmp_path / "out")]) == 0
    pipe = load(tmp_path / "out")
    expected = pixels(TextToImage.from_pretrained(by_class).of_class(["sky", "food-fruit"]))
    assert pixels(pipe(class_labels=["sky", 0]).images) == expected
    labels = np.array([TextToImage.from_pretrained(by_class).classes.index("sky"), 0])
    assert pixels(pipe(class_labels=labels).images) == expected
    assert pixels(pipe(class_labels=labels[1]).images) == pixels(pipe(class_labels=0).images)
    for wrong in (3, -1, 1.5, [None], {"sky"}, torch.tensor(0.5)):
        with pytest.raises(ValueError, match=r"class_labels is .*: it must be"):
            pipe(class_labels=wrong)
    assert pixels(pipe(class_labels=torch.tensor(0)).images) == pixels(pipe(class_labels=0).images)
    for wrong in (5, [5], "x"):
        with pytest.raises(ValueError, match=r"generator is .*: give a torch\.Generator"):
            pipe(class_labels=0, generator=wrong)
    with pytest.raises(ValueError, match="this generator takes classes"):
        pipe("a prompt")
    with pytest.raises(ValueError, match="give a prompt, or class_labels"):
        pipe()
    with pytest.raises(ValueError, match="a list of 1 for 2 images"):
        pipe(class_labels=[0, 1], generator=[torch.Generator()])


def test_a_folder_of_something_else_is_not_replaced(
    by_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.png").touch()
    assert main(["export", "diffusers", str(by_text), str(tmp_path)]) == 2
    assert "not an export for diffusers (photo.png" in capsys.readouterr().err
    assert (tmp_path / "photo.png").exists()


def test_an_export_goes_through_the_hub(
    hub: Hub, by_text: Path, exported: Path, tmp_path: Path
) -> None:
    assert main(["push", str(exported), "me/drawn", "--token", TOKEN]) == 0
    assert "pipeline.py" in hub.repositories["me/drawn"].files()
    expected = pixels(TextToImage.from_pretrained(by_text)("an owl"))
    pipe = load("me/drawn", cache_dir=str(tmp_path / "cache"))
    assert pixels(pipe("an owl").images) == expected
    pipe.push_to_hub("me/again", "by hand", None, TOKEN)
    assert hub.said == ["Upload by textok", "by hand"]
    pipe.save_pretrained(
        tmp_path / "saved", push_to_hub=True, repo_id="me/saved", private=True, token=TOKEN
    )
    assert hub.repositories["me/saved"].private and (tmp_path / "saved" / "pipeline.py").exists()
    pushed, again = (hub.repositories[name].files() for name in ("me/drawn", "me/again"))
    assert pushed.keys() == again.keys()
    assert pixels(load("me/again", cache_dir=str(tmp_path / "cache"))("an owl").images) == expected


def test_the_autoencoder(by_text: Path, tmp_path: Path) -> None:
    vae, ours = AutoencoderTexTok.from_pretrained(by_text), Reconstructor.from_pretrained(by_text)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        found = vae.encode(x, caption=PROMPTS).latent_dist
        images = vae.decode(found.mode(), caption=PROMPTS).sample
    latents = ours.encode(x, PROMPTS)
    assert torch.equal(found.mean, latents.mean)
    assert torch.equal(images, ours.decode_tensor(latents, PROMPTS))
    assert not torch.equal(images, vae.decode(found.mode(), return_dict=False)[0])
    assert torch.equal(vae(x, caption=PROMPTS).sample, images)
    for wrong in (x + 1.5, x[0, :2]):
        with pytest.raises(ValueError, match=r"this tokenizer takes|have to be in"):
            vae.encode(wrong)
    in_bytes = ((x + 1) * 127.5).round().to(torch.uint8)
    assert (vae.encode(in_bytes, caption=PROMPTS).latent_dist.mean - found.mean).abs().max() < 0.2
    assert vae.config.latent_channels == 2 and vae.config.sample_size == 16
    vae.save_pretrained(tmp_path / "vae")
    again = AutoencoderTexTok.from_pretrained(tmp_path / "vae")
    assert again.config.scaling_factor == vae.config.scaling_factor != 1
    AutoencoderTexTok(vae.tokenizer).save_pretrained(str(tmp_path / "vae"))
    assert AutoencoderTexTok.from_pretrained(tmp_path / "vae").config.scaling_factor == 1


def test_scaling_factor(by_text: Path) -> None:
    tokenizer = TextToImage.from_pretrained(by_text).tokenizer
    scale = LatentScale(torch.tensor([1.0, -1.0]), torch.tensor([1.0, 3.0]))
    config = AutoencoderTexTok(tokenizer, scale=scale).config
    assert config.shift_factor == 0  # (1 - 1) / 2
    assert config.scaling_factor == pytest.approx(6**-0.5)  # variance (1 + 9) / 2 + 1
    alone = AutoencoderTexTok(tokenizer).config
    assert (alone.shift_factor, alone.scaling_factor) == (0, 1)


def test_distributions() -> None:
    mean = torch.tensor([[[1.0, 2.0]]])
    logvar = torch.tensor([[[0.0, 2 * math.log(2)]]])
    found = TokenDistribution(Latents(mean=mean, logvar=logvar))
    assert found.std.tolist()[0][0] == pytest.approx([1, 2])
    noise = torch.randn(1, 1, 2, generator=torch.Generator().manual_seed(5))
    drawn = found.sample(torch.Generator().manual_seed(5))
    assert torch.allclose(drawn, mean + torch.tensor([1.0, 2.0]) * noise)
    # (1 + 1 - 1 - 0) / 2 + (4 + 4 - 1 - log 4) / 2
    assert found.kl().item() == pytest.approx(0.5 + (7 - math.log(4)) / 2)
    fixed = TokenDistribution(Latents(mean=mean))
    assert torch.equal(fixed.sample(), mean) and fixed.kl().item() == 0 and not fixed.std.any()
