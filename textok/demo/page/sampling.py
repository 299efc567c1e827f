"""The fields that say what to generate and how."""

from __future__ import annotations

from dataclasses import dataclass, replace

import gradio as gr

from textok.config.generator import SamplingConfig, SamplingOptions
from textok.demo.limits import (
    CHARACTERS,
    GUIDANCE,
    SEEDS,
    STEPS,
    TEMPERATURE,
    checked_choice,
    checked_number,
    checked_text,
    checked_whole,
)
from textok.demo.page.say import note
from textok.demo.studio import Studio

PROMPT = "red women handbag"
NEW_SEED = f"() => Math.floor(Math.random() * {SEEDS})"


@dataclass(frozen=True, kw_only=True)
class SamplerFields:
    """What the model samples with by default, to be changed."""

    steps: gr.Slider
    guidance: gr.Slider
    temperature: gr.Slider


def sampler_fields(studio: Studio) -> SamplerFields:
    """Sliders that start where the model's own settings are, and go as far as it takes."""
    assert studio.pipe is not None
    own, (least, most) = studio.pipe.sampling, studio.guidance
    none = 0 if own.guidance.form == "added" else 1
    return SamplerFields(
        steps=gr.Slider(1, STEPS, own.steps, step=1, label="Steps"),
        guidance=gr.Slider(
            least,
            max(most, least + 1),  # a slider has two ends, also where it is not shown
            own.guidance.scale,
            step=0.1,
            label="Guidance",
            visible=least < most,
            info=f"More follows the words more closely; {none} is none",
        ),
        temperature=gr.Slider(
            0,
            TEMPERATURE,
            own.temperature,
            step=0.5,
            label="Temperature",
            info="More gives more variety; 0 is none",
            visible=own.sampler == "maskgit",
        ),
    )


def prompt_field(studio: Studio) -> gr.Textbox | gr.Dropdown:
    """A prompt, or one of the classes."""
    if studio.draws_classes:
        return gr.Dropdown(studio.classes, value=studio.classes[0], label="Class")
    return gr.Textbox(
        PROMPT,
        label="Prompt",
        lines=1,
        max_lines=6,
        max_length=CHARACTERS,
        placeholder="What to draw; without a prompt, anything",
    )


def seed_field() -> gr.Number:
    """A seed, and a button for another."""
    seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=SEEDS)
    gr.Button("Another seed", size="sm").click(None, None, seed, js=NEW_SEED)
    return seed


def checked_prompt(prompt: object, studio: Studio) -> str:
    """What to generate. Raises ValueError for a prompt that is too long."""
    text = checked_text(prompt, "class" if studio.draws_classes else "prompt")
    if not text:
        note("nothing was asked for: this draws anything")
    return text


def checked_seed(seed: object) -> int:
    return checked_whole(seed, "seed", 0, SEEDS)


def checked_sampling(
    studio: Studio,
    *,
    steps: object = None,
    guidance: object = None,
    temperature: object = None,
    sampler: object = None,
) -> SamplingConfig:
    """The model's settings with those given. Raises ValueError for what it cannot sample with."""
    assert studio.pipe is not None
    own = studio.pipe.sampling
    options = SamplingOptions(
        steps=None if steps is None else checked_whole(steps, "steps", 1, STEPS),
        guidance=None if guidance is None else checked_number(guidance, "guidance", 0, GUIDANCE),
        sampler=None if sampler is None else checked_choice(sampler, "sampler", studio.samplers),
    )
    if (options.sampler or own.sampler) == "maskgit" and temperature is not None:
        degrees = checked_number(temperature, "temperature", 0, TEMPERATURE)
        options = replace(options, temperature=degrees)
    return options.applied_to(own)
