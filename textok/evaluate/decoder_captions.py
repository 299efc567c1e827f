"""What the decoder reads of generated images, and what reports say of it.

A generator by class knows no caption, its tokenizer's decoder reads one. Where that is a caption of
the images that are measured against, the decoder is told what these show.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from textok.config.evaluation import DecoderCaptions
from textok.data import CaptionedImages, Record
from textok.data.class_captions import ClassCaptions
from textok.evaluate.samples import Samples


def captions_of_others(
    samples: Samples, measured: CaptionedImages, split: CaptionedImages
) -> list[str]:
    """For each sample of a class the first caption of another image of that class in ``split``.

    Of one that is not ``measured`` where there is such, else of another one than the sample's twin,
    preferably of another wording. Decided by the sample's seed, class and twin.
    Raises ValueError naming a class that has no other captioned image.
    """
    members: defaultdict[str | None, list[Record]] = defaultdict(list)
    for record in split.records:
        if record.captions and record.captions[0].strip():
            members[record.label].append(record)
    known = {record.key for record in measured.records}
    found = []
    for name, seed, twin in zip(samples.conditions, samples.seeds, samples.twins, strict=True):
        own = None if twin is None else measured.records[twin]
        others = [one for one in members[name] if own is None or one.key != own.key]
        if not others:
            raise ValueError(
                f"decoder_captions is other_image, but {split.config.path} has no other captioned "
                f"image of the class '{name}': choose held_out, class_name or none"
            )
        apart = [one for one in others if one.key not in known]
        reworded = [one for one in others if own is None or one.captions[:1] != own.captions[:1]]
        drawn = random.Random(f"{seed} {name}").choice(apart or reworded or others)
        found.append(drawn.captions[0])
    return found


def caption_source(
    choice: DecoderCaptions,
    *,
    classes: Sequence[str],
    class_captions: Mapping[str, ClassCaptions],
    reads_text: bool,
) -> str:
    """Where the decoder's captions come from, in words that follow "the decoder reads"."""
    if not reads_text:
        return "no text"
    if not classes:
        return "the captions that the images are generated from"
    kept = sum(bool(class_captions.get(name, ClassCaptions()).held_out) for name in classes)
    held_out = "a caption of the class held out from training, drawn by each image's seed"
    if kept < len(classes):
        held_out = (
            "a caption of the class, drawn by each image's seed: one held out from training for "
            f"{kept} of {len(classes)} classes, else one of training, or the name of the class"
        )
    return {
        "held_out": held_out,
        "other_image": (
            "the first caption of another image of the class in the same split, drawn by each "
            "image's seed: of one that is not measured where there is such"
        ),
        "class_name": "a sentence with the name of the class",
        "none": "no caption",
    }[choice]


def describe_captions(
    source: str, given: Sequence[str] | None, images: CaptionedImages, *, called: str
) -> str:
    """``source`` and how many of the captions ``given`` are some of ``images``, ``called`` so."""
    if given is None or not any(given):
        return source
    known = {caption for record in images.records for caption in record.captions}
    shared = sum(caption in known for caption in given)
    count = {0: "none are", len(given): "all are"}.get(shared, f"{shared} of {len(given)} are")
    return f"{source}; {count} captions of {called}"
