"""``textok caption`` and ``textok captions``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from textok.cli.device import pick_device
from textok.cli.reading import AS_IT_IS, Reading
from textok.config.caption import (
    BudgetConfig,
    CaptionConfig,
    Detail,
    EndpointConfig,
    LocalConfig,
    ShardConfig,
)
from textok.config.data import DataConfig

Data = Annotated[Path, arg(metavar="DATA")]


def caption(
    data: Positional[Data],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    model: str,
    endpoint: str | None = None,
    detail: Detail = "medium",
    prompt: str = "",
    captions_per_image: int = 1,
    split: str = "train",
    where: str = "",
    reading: Reading = AS_IT_IS,
    image_size: int = 512,
    temperature: float | None = None,
    max_tokens: int = 300,
    max_words: int = 120,
    max_images: int | None = None,
    max_cost: float | None = None,
    price_in: float = 0,
    price_out: float = 0,
    shard: str = "0/1",
    retry_failed: bool = False,
    concurrency: int = 8,
    per_minute: float = 0,
    timeout: float = 120,
    retries: int = 5,
    key_variable: str = "OPENAI_API_KEY",
    batch_size: int = 8,
    device: str = "auto",
) -> None:
    """Let a vision-language model caption images.

    Example: textok caption DATA captions --model gpt-4o-mini --endpoint https://api.openai.com/v1

    The same command continues where it was stopped.

    Args:
        data: Folder or tar shards of images.
        out: Folder of the captions; training reads it with --data.captions OUT.
        model: Name of the endpoint's model; without --endpoint a folder or hub name.
        endpoint: Address of an OpenAI-compatible server, up to /v1.
        detail: How much a caption tells: a sentence, some 30 words, some 70 words.
        prompt: What to ask instead of the prompt of --detail.
        captions_per_image: Each is asked for on its own.
        split: Sub-folder of the data, where there are splits.
        where: Caption only records whose metadata match, as in 'style!=openmoji,core=true'.
        image_size: Pixels, at most, of the longer side of the pictures that are sent.
        temperature: Of sampling, 0 or more; the model's own if not given.
        max_tokens: Answers are cut there, and then count as failed.
        max_words: A longer answer counts as failed.
        max_images: Ask for at most this many images now.
        max_cost: Stop before all runs into OUT together cost more, in the unit of the prices.
        price_in: Of a million tokens that the model reads.
        price_out: Of a million tokens that it writes.
        shard: Part of the images to do here, as 0/2 and 1/2 for two processes.
        retry_failed: Also ask again for images that failed before.
        concurrency: Images asked for at once, of an endpoint.
        per_minute: Requests a minute at most, to an endpoint; 0: no limit.
        timeout: Seconds until an endpoint's answer is given up.
        retries: Further attempts of a request that failed by the endpoint's fault.
        key_variable: Environment variable that holds the endpoint's key.
        batch_size: Captions at once, of a local model.
        device: Of a local model: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
    """
    asked = CaptionConfig(
        model=model,
        detail=detail,
        prompt=prompt,
        captions_per_image=captions_per_image,
        image_size=image_size,
        temperature=temperature,
        max_tokens=max_tokens,
        max_words=max_words,
    )
    budget = BudgetConfig(
        max_images=max_images, max_cost=max_cost, price_in=price_in, price_out=price_out
    )
    part = ShardConfig.read(shard)
    via = (
        LocalConfig(device=pick_device(device), batch_size=batch_size)
        if endpoint is None
        else EndpointConfig(
            url=endpoint,
            key_variable=key_variable,
            concurrency=concurrency,
            per_minute=per_minute,
            timeout=timeout,
            retries=retries,
        )
    )
    from textok.caption import caption_images

    summary = caption_images(
        DataConfig(path=str(data), split=split, where=where, **asdict(reading)),
        out,
        asked,
        via=via,
        budget=budget,
        shard=part,
        retry_failed=retry_failed,
    )
    for line in summary.lines():
        print(line)
    if summary.signum:
        raise SystemExit(128 + summary.signum)


def captions_by_class(
    data: Positional[Data],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    captions: str = "",
    sentences: Path | None = None,
    split: str = "train",
    where: str = "",
    reading: Reading = AS_IT_IS,
    held_out: float = 0.1,
    template: tuple[str, ...] = ("a photo of a {class}",),
    seed: int = 0,
) -> None:
    """Gather the captions of each class, or sentences about it.

    Example: textok captions by-class DATA captions.json --captions captions

    Args:
        data: Folder or tar shards of images with classes.
        out: File, as captions.json in the folder of a pipeline.
        captions: File or folder of `textok caption`; without it the captions beside the images.
        sentences: JSON file of class name to a list of sentences, to take instead of captions.
        split: Sub-folder of the data, where there are splits.
        where: Take only records whose metadata match, as in 'style!=openmoji,core=true'.
        held_out: Share of the captions that is held out.
        template: Sentences for a class without any; {class} becomes its name.
        seed: Of the draw of held-out captions.
    """
    from textok.caption import captions_by_class, sentences_by_class
    from textok.config.check import require

    images = DataConfig(
        path=str(data), split=split, where=where, captions=captions, **asdict(reading)
    )
    unmatched: list[str] = []
    if sentences is None:
        found = captions_by_class(images, out, held_out=held_out, templates=template, seed=seed)
    else:
        require(not captions, "--captions and --sentences: leave one of them out")
        made = sentences_by_class(
            images, out, sentences, held_out=held_out, templates=template, seed=seed
        )
        found, unmatched = made.captions, made.unmatched
    train = sum(len(captions.train) for captions in found.values())
    unseen = sum(len(captions.held_out) for captions in found.values())
    print(f"{len(found)} classes: {train} captions to train on, {unseen} held out")
    if unmatched:
        print(f"{len(unmatched)} classes without a sentence: {', '.join(unmatched)}")
    print(out)


def captions_report(
    data: Positional[Data],
    *,
    out: Path = Path("caption-report"),
    captions: str = "",
    split: str = "train",
    where: str = "",
    reading: Reading = AS_IT_IS,
    text_encoder: tuple[str, ...] = ("minilm",),
    max_tokens: int = 128,
) -> None:
    """Count what captions are like: lengths, cuts, duplicates, gaps.

    Example: textok captions report DATA --captions captions --text-encoder minilm --out report

    Args:
        data: Folder or tar shards of images.
        out: Folder for report.md and lengths.png.
        captions: File or folder of `textok caption`; without it the captions beside the images.
        split: Sub-folder of the data, where there are splits.
        where: Count only records whose metadata match, as in 'style!=openmoji,core=true'.
        text_encoder: Each 'minilm', or a folder or hub name; only its tokenizer is read.
        max_tokens: Where a training cuts captions (text.max_tokens).
    """
    from textok.caption import caption_report

    report = caption_report(
        DataConfig(path=str(data), split=split, where=where, captions=captions, **asdict(reading)),
        out,
        text_encoders=text_encoder,
        max_tokens=max_tokens,
    )
    print(report.to_markdown())
    print(out)
