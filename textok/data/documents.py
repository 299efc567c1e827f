"""JSON files that describe many images, as rows of a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

FILE_NAME = "file_name"
_LISTS = ("data", "samples", "items", "rows", "entries", "images", "annotations")
_TEXTS = ("caption", "captions", "text", "texts", "sentence", "sentences", "description")
"""Fields of captions, of an annotation or of an image."""
_SHAPES = ("bbox", "segmentation", "polygon", "points", "keypoints")
"""What an annotation of a part of an image has: a text beside it is what is written there."""
_IDS = ("image_id", "imageId", "img_id", "imgid", "image", FILE_NAME, "filename")
"""How an annotation says which image it is of; an image has one of these, but mostly ``id``."""


def document_rows(document: object) -> Iterator[dict[str, object]]:
    """A row for each image of a document.

    Read are lists of objects or of pairs (name, caption); COCO's ``images`` and ``annotations``;
    Karpathy's ``images`` with ``sentences``; ``labels`` of pairs (name, class), as in stylegan3's
    dataset.json; an object with a list of any of these; and objects from name to caption.

    Raises:
        ValueError: anything else.
    """
    if isinstance(document, list):
        yield from map(_row, document)
    elif not isinstance(document, Mapping):
        raise ValueError("no list of objects, and no object")
    elif isinstance(document.get("images"), list) and isinstance(document.get("annotations"), list):
        yield from _coco(document["images"], document["annotations"])
    elif isinstance(document.get("labels"), list):
        for name, label in map(_pair, document["labels"]):
            yield {FILE_NAME: name, "label": label}
    else:
        several = next((document[n] for n in _LISTS if isinstance(document.get(n), list)), None)
        yield from _named(document) if several is None else map(_row, several)


def _row(entry: object) -> dict[str, object]:
    if not isinstance(entry, Mapping):
        name, caption = _pair(entry)
        return {FILE_NAME: name, "caption": caption}
    row = dict(entry)
    folder, name = row.get("filepath"), row.get("filename")
    if isinstance(folder, str) and isinstance(name, str):  # Karpathy: val2014 and the file in it
        row[FILE_NAME] = f"{folder}/{name}" if folder else name
    return row


def _pair(entry: object) -> tuple[object, object]:
    if isinstance(entry, Sequence) and not isinstance(entry, str) and len(entry) == 2:
        return entry[0], entry[1]
    raise ValueError("an entry is neither an object nor a pair of name and caption")


def _coco(images: Sequence[object], annotations: Sequence[object]) -> Iterator[dict[str, object]]:
    captions: dict[str, list[object]] = defaultdict(list)
    for annotation in annotations:
        if isinstance(annotation, Mapping) and (said := _captions_of(annotation)):
            of = next((one for name in _IDS if (one := _id(annotation.get(name)))), "")
            captions[of].append(next((value for value in said if value is not None), None))
    lost = captions.pop("", None)
    described = [image for image in images if isinstance(image, Mapping)]
    if not captions:  # boxes and classes, perhaps of images that have captions of their own
        own = any(name in image for image in described for name in _TEXTS)
        if lost and not own:
            raise ValueError("no annotation says by its image_id of which image its caption is")
        yield from map(_row, described if own else ())
        return
    several = ([_id(image.get(name)) for image in described] for name in ("id", *_IDS))
    ids = next((ids for ids in several if not captions.keys().isdisjoint(ids)), None)
    if ids is None:
        raise ValueError(f"no image has the id {next(iter(captions))!r}, which a caption is of")
    for image, name in zip(described, ids, strict=True):
        row = _row(image)
        yield {**row, "captions": captions[name]} if name in captions else row


def _captions_of(annotation: Mapping[str, object]) -> list[object]:
    whole = not any(annotation.get(shape) for shape in _SHAPES)
    return [annotation[name] for name in (_TEXTS if whole else _TEXTS[:1]) if name in annotation]


def _id(value: object) -> str:
    """As text, for 1, "1" and 1.0 are the same image; empty for none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _named(document: Mapping[str, object]) -> Iterator[dict[str, object]]:
    for name, value in document.items():
        fields = dict(value) if isinstance(value, Mapping) else {"captions": value}
        yield {FILE_NAME: name, **fields}
