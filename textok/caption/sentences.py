"""Sentences about classes, as a language model writes them, as captions of a data set's classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from textok.caption.by_class import (
    check_out,
    from_templates,
    open_classes,
    split_captions,
)
from textok.config.captioning import CaptionsByClassConfig
from textok.config.check import require
from textok.config.data import DataConfig
from textok.data.captions import clean_captions
from textok.data.class_captions import ClassCaptions, write_class_captions
from textok.data.mixture import all_entries
from textok.data.report import ReadReport
from textok.runtime.pretrained import read_json

NAME_FIELDS = ("names", "synonyms", "class")
"""Metadata of an image that may hold further names of its class."""


@dataclass(frozen=True, kw_only=True)
class SentencesByClass:
    """Captions made of sentences."""

    captions: dict[str, ClassCaptions]
    unmatched: list[str]
    """Classes that no name in the file fits; their captions are templates."""


def sentences_by_class(config: CaptionsByClassConfig) -> SentencesByClass:
    """Write the sentences of each class of the data, a share of them as held out, to ``out``.

    ``sentences`` is a JSON object of class name to a list of sentences. Its names are compared with
    the labels, then with other names in the metadata (``names``, ``synonyms``, ``class``). Classes
    without a match get ``template``, in training too, since they say no more than the name.

    Raises:
        ValueError: the images have no classes, none matches, or ``sentences`` is no such file.
    """
    data, out, sentences = config.data, config.out, config.sentences
    assert sentences is not None
    check_out(out)
    known = read_sentences(sentences)
    classes = open_classes(data).classes
    names = class_names(data, classes)
    matched = match_names(names, known)
    require(
        bool(matched),
        f"--sentences {sentences}: none of its {len(known)} names is a class of {data.path}, where "
        f"one is {classes[0]}",
    )
    captions = split_captions(
        {name: known[matched[name]] for name in classes if name in matched},
        config.held_out,
        config.seed,
    )
    for name in classes:
        if name not in matched:
            template = from_templates(name, config.template)
            captions[name] = replace(template, train=template.held_out)
    captions = {name: captions[name] for name in classes}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_class_captions(out, captions)
    return SentencesByClass(
        captions=captions, unmatched=[name for name in classes if name not in matched]
    )


def read_sentences(path: Path) -> dict[str, tuple[str, ...]]:
    """The distinct sentences of each name that has any, whatever their case.

    Names that differ in spelling alone are one. Raises ValueError for another kind of file.
    """
    found: dict[str, dict[str, str]] = {}
    first: dict[str, str] = {}
    for name, texts in read_json(path).items():
        require(
            isinstance(texts, list) and all(isinstance(text, str) for text in texts),
            f"{path}: {name}: a list of sentences is needed",
        )
        sentences = found.setdefault(first.setdefault(_spelling(name), name), {})
        for text in clean_captions(texts):
            sentences.setdefault(text.casefold(), text)
    return {name: tuple(texts.values()) for name, texts in found.items() if texts}


def class_names(data: DataConfig, classes: Iterable[str]) -> dict[str, list[str]]:
    """Every name of each class: the label first, then those in the metadata of its images."""
    names: dict[str, dict[str, None]] = {label: {label: None} for label in classes}
    for record, fields in all_entries(data, ReadReport()):
        if record.label in names:
            for field in NAME_FIELDS:
                value = fields.get(field)
                several = value.split(",") if isinstance(value, str) else value
                names[record.label] |= dict.fromkeys(clean_captions(several or None))
    return {label: list(known) for label, known in names.items()}


def match_names(
    names: Mapping[str, Sequence[str]], known: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Class to its name in ``known``, for each class that has one.

    Letters and digits alone are compared, without case. Labels go before other names; another
    name that fits the label of a class, or several classes, is none of theirs.
    """
    by_spelling: dict[str, str] = {}
    for name in known:
        by_spelling.setdefault(_spelling(name), name)
    labels = {_spelling(label) for label in names}
    owners = defaultdict(set)
    for label, own in names.items():
        for name in own:
            owners[_spelling(name)].add(label)
    matched = {}
    for label, own in names.items():
        candidates = [_spelling(label)] + [
            spelling
            for spelling in map(_spelling, own)
            if spelling not in labels and len(owners[spelling]) == 1
        ]
        fitting = [by_spelling[spelling] for spelling in candidates if spelling in by_spelling]
        if fitting:
            matched[label] = fitting[0]
    return matched


def _spelling(name: str) -> str:
    """``Hot-air_balloon`` as ``hotairballoon``; a name of neither letters nor digits as it is."""
    return "".join(filter(str.isalnum, name.casefold())) or name
