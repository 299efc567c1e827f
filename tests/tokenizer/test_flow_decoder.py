"""Decoding by flow matching: the objective, sampling, conditions, and that it reconstructs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from textok.config import (
    DecodingConfig,
    DecodingOptions,
    FlowDecoderConfig,
    TokenizerConfig,
    ViTConfig,
)
from textok.config.generator import ObjectiveConfig
from textok.diffusion import Flow
from textok.diffusion.flow import MIN_TIME
from textok.pipeline import Reconstructor
from textok.tokenizer import FlowDraw, Tokenizer
from textok.tokenizer.decoder_input import DecoderInput
from textok.types import Latents, TextFeatures

SMALL = ViTConfig(width=32, depth=2, heads=2)
CONFIG = TokenizerConfig(
    image_size=16,
    patch_size=4,
    num_tokens=6,
    channels=3,
    text_width=10,
    text_tokens=5,
    encoder=SMALL,
    decoder=SMALL,
    decoding="flow",
)


def make(**changes: object) -> Tokenizer:
    """A tokenizer whose last layers are not zero, so that everything it is given shows."""
    torch.manual_seed(0)
    model = Tokenizer(dataclasses.replace(CONFIG, **changes)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for name, weight in model.decoder.named_parameters():
            if "modulation" in name or "final" in name:
                weight.normal_(std=0.2)
    return model


def images(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def text(batch: int = 2) -> TextFeatures:
    states = torch.randn(batch, 5, 10, generator=torch.Generator().manual_seed(2))
    return TextFeatures(states=states, mask=torch.ones(batch, 5, dtype=torch.bool))


def draw(batch: int = 2, *, drop_text: bool = False) -> FlowDraw:
    chance = torch.Generator().manual_seed(3)
    return FlowDraw(
        noise=torch.randn(batch, 16, 48, generator=chance),
        time=torch.randn(batch, generator=chance),
        drop_text=torch.full((batch,), drop_text),
    )


def test_the_velocity_of_true_data_is_noise_less_data() -> None:
    flow = Flow(ObjectiveConfig())
    x0, noise = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    t = torch.tensor([MIN_TIME, 0.4, 1.0])
    velocity = flow.velocity(x0, flow.add_noise(x0, noise, t), t)
    torch.testing.assert_close(velocity, noise - x0, atol=1e-5, rtol=1e-5)
    # Below MIN_TIME it is held down: half the time, half the velocity.
    t = torch.full((3,), MIN_TIME / 2)
    held = flow.velocity(x0, flow.add_noise(x0, noise, t), t)
    torch.testing.assert_close(held, (noise - x0) / 2, atol=1e-5, rtol=1e-5)


def test_the_error_is_that_of_the_velocity() -> None:
    """An error of 0.1 in every predicted number is one of 0.1 / t in every velocity."""
    model = make()
    decoder, chance = model.decoder, draw()
    clean = decoder.patchify(images())
    decoder.forward = lambda *_: clean + 0.1
    out = model(images(), None, flow=chance)
    t = decoder.objective.sample_timesteps(chance.time)
    torch.testing.assert_close(out.velocity_error, (0.1 / t).square())
    torch.testing.assert_close(out.images, images() + 0.1)


@pytest.mark.parametrize("steps", [5, 60])
@pytest.mark.parametrize("sampler", ["euler", "heun", "ddim", "dpmpp"])
def test_every_sampler_ends_at_what_is_always_predicted(sampler: str, steps: int) -> None:
    """Also where steps are below MIN_TIME: no noise is left."""
    model = make()
    clean = model.decoder.patchify(images())
    model.decoder.forward = lambda *_: clean
    decoding = DecodingConfig(sampler=sampler, steps=steps)  # type: ignore[arg-type]
    drawn = model.decode(torch.zeros(2, 6, 3), decoding=decoding)
    torch.testing.assert_close(drawn, images(), atol=1e-5, rtol=1e-5)


def test_a_seed_is_an_image_in_any_batch() -> None:
    model = make()
    latents = model.encode(images(), text())
    both = model.decode(latents, text(), seeds=[7, 8])
    alone = model.decode(latents[1:], text()[1:], seeds=[8])
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)
    assert torch.equal(both, model.decode(latents, text(), seeds=[7, 8]))
    assert (model.decode(latents, text(), seeds=[7, 9])[1] - both[1]).abs().max() > 0.01
    with pytest.raises(ValueError, match="1 seeds for 2 images"):
        model.decode(latents, text(), seeds=[7])


def test_hidden_tokens_are_no_tokens() -> None:
    """Training hides tokens by a mask where decoding has fewer: both give the same."""
    model, chance = make(), draw()
    decoder, latents = model.decoder, model.encode(images(), text())
    t_B = decoder.objective.sample_timesteps(chance.time)
    noisy = decoder.objective.add_noise(decoder.patchify(images()), chance.noise, t_B)
    for keep in (0, 2):
        hidden = model(images(), text(), keep_B=torch.full((2,), keep), flow=chance).images
        fewer = decoder(noisy, t_B, DecoderInput(tokens=latents.first(keep).mean, text=text()))
        torch.testing.assert_close(hidden, decoder.unpatchify(fewer), atol=1e-5, rtol=1e-5)
    assert model.decode(Latents(mean=torch.zeros(2, 0, 3)), text()).shape == (2, 3, 16, 16)
    assert model.encode(images(), text(), num_tokens=0).mean.shape == (2, 0, 3)


def test_the_decoder_alone_can_miss_the_caption() -> None:
    model = make()
    with_text, without = (model(images(), text(), flow=draw(drop_text=d)) for d in (False, True))
    assert torch.equal(with_text.latents.mean, without.latents.mean)
    assert (with_text.images - without.images).abs().max() > 1e-3


def test_guidance_leads_away_from_what_is_left_out() -> None:
    """One Euler step from noise ends at the prediction: full + (s - 1)(full - without)."""
    model = make()
    latents = model.encode(images(), text())

    def decode(tokens: Latents, caption: TextFeatures | None, **scales: float) -> torch.Tensor:
        decoding = DecodingConfig(sampler="euler", steps=1, **scales)  # type: ignore[arg-type]
        return model.decode(tokens, caption, decoding=decoding)

    full, no_caption = decode(latents, text()), decode(latents, None)
    no_tokens = decode(latents.first(0), text())
    by_caption = decode(latents, text(), caption_guidance=3.0)
    torch.testing.assert_close(by_caption, full + 2 * (full - no_caption), atol=1e-4, rtol=1e-4)
    by_both = decode(latents, text(), caption_guidance=3.0, token_guidance=2.0)
    expected = full + 2 * (full - no_caption) + (full - no_tokens)
    torch.testing.assert_close(by_both, expected, atol=1e-4, rtol=1e-4)


def test_a_sample_passes_gradients_to_its_tokens() -> None:
    """Through all steps and guidance, as finite differences say."""
    model = make().requires_grad_(False)
    start = model.encode(images(), text()).mean
    decoding = DecodingConfig(steps=3, caption_guidance=2.0)

    def brightness(tokens: torch.Tensor) -> torch.Tensor:
        pictures = model.decode(tokens, text(), seeds=[1, 2], decoding=decoding)
        return pictures.double().square().sum()

    tokens = start.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(brightness(tokens), tokens)
    step = 0.1 * gradient / gradient.norm()
    found = (brightness(start + step) - brightness(start - step)) / (2 * step.norm())
    assert float(found) == pytest.approx(float(gradient.norm()), rel=0.02)
    assert float(found) > 0.1


def test_tokens_that_hold_the_image_give_it_back() -> None:
    """Trained on eight images with room for each, samples from any noise come to them."""
    torch.manual_seed(0)
    config = dataclasses.replace(
        CONFIG, image_size=8, num_tokens=4, channels=16, text="none", bottleneck="ae", qk_norm=True
    )
    model = Tokenizer(config)
    data = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(5)) * 2 - 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    chance = torch.Generator().manual_seed(6)
    rows = torch.arange(8).repeat(4)
    for step in range(400):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / 400)
        flow = FlowDraw(
            noise=torch.randn(32, 4, 48, generator=chance),
            time=torch.randn(32, generator=chance),
            drop_text=torch.zeros(32, dtype=torch.bool),
        )
        error = model(data[rows], None, flow=flow).velocity_error.mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    model.eval()
    latents = model.encode(data)
    apart = [
        (model.decode(latents, seeds=[seed + i for i in range(8)]) - data).square().mean()
        for seed in (0, 100)
    ]
    other = (data - data.roll(1, 0)).square().mean()
    assert max(apart) < 0.05 * other


def test_regression_ignores_what_is_for_sampling() -> None:
    model = make(decoding="regression")
    latents = model.encode(images())
    assert torch.equal(model.decode(latents), model.decode(latents, seeds=[3, 4]))
    with pytest.raises(ValueError, match="num_tokens is 0, this tokenizer has 1 to 6"):
        model.encode(images(), num_tokens=0)


def test_a_shared_modulation_starts_as_the_identity_and_saves_six_squares_a_block() -> None:
    own, shared = (
        Tokenizer(dataclasses.replace(CONFIG, flow=FlowDecoderConfig(shared_modulation=on)))
        for on in (False, True)
    )
    counts = [sum(weight.numel() for weight in one.parameters()) for one in (own, shared)]
    layer, blocks = 6 * 32 * (32 + 1), SMALL.depth
    assert counts[0] - counts[1] == (blocks - 1) * layer - blocks * 6 * 32
    x = torch.randn(2, 7, 32)
    for block, vector in zip(
        shared.decoder.blocks, shared.decoder._vectors(torch.randn(2, 32)), strict=True
    ):
        assert torch.equal(block(x, vector, None), x)
    model = make(flow=FlowDecoderConfig(shared_modulation=True))
    with torch.no_grad():
        before = model(images(), text(), flow=draw()).images
        model.decoder.offsets[1] += 1
        assert (model(images(), text(), flow=draw()).images - before).abs().max() > 1e-3


def test_times_are_shifted_in_training_and_sampling() -> None:
    """s = 2 is noise of twice the strength: t / (1 - t) doubles."""
    plain, shifted = (
        make(flow=FlowDecoderConfig(time_shift=shift)).decoder.objective for shift in (1.0, 2.0)
    )
    normal = torch.linspace(-2, 2, 9)
    for one, other in (
        (plain.sample_timesteps(normal), shifted.sample_timesteps(normal)),
        (plain.times(8)[1:], shifted.times(8)[1:]),
    ):
        torch.testing.assert_close(other / (1 - other), 2 * one / (1 - one))


def test_pixels_share_no_noise_with_latents_of_the_same_seed() -> None:
    noise = make().decoder.noise([3], 1)[0].flatten()
    latents = torch.randn(len(noise), generator=torch.Generator().manual_seed(3))
    assert torch.corrcoef(torch.stack([noise, latents]))[0, 1].abs() < 0.15
    assert (noise - latents).abs().mean() > 0.5


def test_another_image_size_interpolates_both_grids(tmp_path: Path) -> None:
    make().save_pretrained(tmp_path / "model")
    larger = Tokenizer.from_pretrained(tmp_path / "model", image_size=32)
    assert larger.decoder.patch_positions.shape == (64, 32)
    assert larger.decode(torch.zeros(1, 6, 3)).shape == (1, 3, 32, 32)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| decoder | flow matching, sampled by dpmpp in 16 steps, guidance 1 on" in card


def test_bfloat16_weights_sample_nearly_the_same() -> None:
    model = make()
    latents = model.encode(images(), text())
    full = model.decode(latents, text())
    half = model.bfloat16().decode(latents, text().to("cpu", torch.bfloat16))
    assert half.dtype == torch.float32
    assert (half - full).abs().mean() < 0.05 * full.std()


def test_options_are_for_decoders_that_sample() -> None:
    asked = DecodingOptions(steps=3, token_guidance=2.0)
    own = DecodingConfig(sampler="heun", caption_guidance=1.5)
    flow = dataclasses.replace(CONFIG, sampling=own)
    assert flow.sampled_by(DecodingOptions(), seed=4) == own
    assert flow.sampled_by(asked) == dataclasses.replace(own, steps=3, token_guidance=2.0)
    regression = dataclasses.replace(CONFIG, decoding="regression")
    assert regression.sampled_by(DecodingOptions()) is None
    with pytest.raises(
        ValueError, match=r"decoding\.steps is 3, but this tokenizer decodes by reg"
    ):
        regression.sampled_by(asked)
    with pytest.raises(ValueError, match=r"num_samples is 2, but .* leave it out"):
        regression.sampled_by(DecodingOptions(), num_samples=2)
    with pytest.raises(ValueError, match=r"decoding\.steps is 0"):
        DecodingOptions(steps=0)


@pytest.mark.parametrize("where", ["encoder", "none"])
def test_no_guidance_on_a_caption_that_the_decoder_does_not_read(where: str) -> None:
    blind = dataclasses.replace(CONFIG, text=where)  # type: ignore[arg-type]
    none = DecodingOptions(caption_guidance=1.0, token_guidance=2.0)
    assert blind.sampled_by(none) == DecodingConfig(token_guidance=2.0)
    wrong = f"caption_guidance is 2.0, but this .* reads no caption .tokenizer.text is '{where}'"
    with pytest.raises(ValueError, match=f"^decoding.{wrong}"):
        blind.sampled_by(DecodingOptions(caption_guidance=2.0))
    guided = DecodingConfig(caption_guidance=2.0)
    with pytest.raises(ValueError, match=f"^tokenizer.sampling.{wrong}"):
        dataclasses.replace(blind, sampling=guided)
    tokens = torch.zeros(1, blind.num_tokens, blind.channels)
    with pytest.raises(ValueError, match=f"^decoding.{wrong}"):
        Tokenizer(blind).decode(tokens, decoding=guided)


def test_no_images_from_no_tokens() -> None:
    latents = torch.zeros(0, CONFIG.num_tokens, CONFIG.channels)
    size = CONFIG.image_size
    assert Tokenizer(CONFIG).eval().decode(latents, seeds=[]).shape == (0, 3, size, size)
    model = Reconstructor(Tokenizer(CONFIG))
    assert model.reconstruct(torch.zeros(0, 3, size, size)) == []


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"token_guidance is 1001.0: it must be >= 0 and <= 1000"):
        DecodingConfig(token_guidance=1001.0)
    for name, value in (("time_mean", 11.0), ("time_std", -1.0), ("time_shift", 1e6)):
        with pytest.raises(ValueError, match=f"tokenizer.flow.{name} is {value}: it must be "):
            FlowDecoderConfig(**{name: value})
    with pytest.raises(ValueError, match="needs output 'pixels' and layout 'textok'"):
        make(layout="titok")
    with pytest.raises(ValueError, match=r"decoding\.steps"):
        DecodingConfig(steps=0)


def test_several_samples_need_a_seed_an_image() -> None:
    reconstructor = Reconstructor(make(text="none", decoding="flow"))
    latents = torch.zeros(2, 6, 3)
    decoding = DecodingConfig(steps=1)
    four = reconstructor.decode_tensor(latents, seeds=[4, 5], decoding=decoding, num_samples=2)
    assert four.shape == (4, 3, 16, 16)
    for seeds in ([4], [4, 5, 6]):
        with pytest.raises(ValueError, match=f"{len(seeds)} seeds for 2 images: give one each"):
            reconstructor.decode_tensor(latents, seeds=seeds, decoding=decoding, num_samples=2)
