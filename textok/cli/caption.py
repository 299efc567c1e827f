"""``textok caption`` and ``textok captions``."""

from __future__ import annotations

from typing import Any

from textok.config.caption import ShardConfig
from textok.config.captioning import (
    CaptionImagesConfig,
    CaptionsByClassConfig,
    CaptionsReportConfig,
)


def caption(config: CaptionImagesConfig) -> None:
    """Let a vision-language model caption images.

    Example: textok caption DATA captions --model gpt-4o-mini --endpoint https://api.openai.com/v1

    The same command continues where it was stopped. Without --endpoint the model runs here.
    """
    from textok.caption import caption_images

    summary = caption_images(
        config.data,
        config.out,
        config.caption,
        via=config.endpoint if config.endpoint.url else config.local,
        budget=config.budget,
        shard=ShardConfig.read(config.shard),
        retry_failed=config.retry_failed,
    )
    for line in summary.lines():
        print(line)
    if summary.signum:
        raise SystemExit(128 + summary.signum)


def captions_by_class(config: CaptionsByClassConfig) -> None:
    """Gather the captions of each class, or sentences about it.

    Example: textok captions by-class DATA captions.json --captions captions
    """
    from textok.caption import captions_by_class, sentences_by_class

    drawn: dict[str, Any] = {
        "held_out": config.held_out,
        "templates": config.template,
        "seed": config.seed,
    }
    unmatched: list[str] = []
    if config.sentences is None:
        found = captions_by_class(config.data, config.out, **drawn)
    else:
        made = sentences_by_class(config.data, config.out, config.sentences, **drawn)
        found, unmatched = made.captions, made.unmatched
    train = sum(len(captions.train) for captions in found.values())
    unseen = sum(len(captions.held_out) for captions in found.values())
    print(f"{len(found)} classes: {train} captions to train on, {unseen} held out")
    if unmatched:
        print(f"{len(unmatched)} classes without a sentence: {', '.join(unmatched)}")
    print(config.out)


def captions_report(config: CaptionsReportConfig) -> None:
    """Count what captions are like: lengths, cuts, duplicates, gaps.

    Example: textok captions report DATA --captions captions --text-encoder minilm --out report
    """
    from textok.caption import caption_report

    report = caption_report(
        config.data, config.out, text_encoders=config.text_encoder, max_tokens=config.max_tokens
    )
    print(report.to_markdown())
    print(config.out)
