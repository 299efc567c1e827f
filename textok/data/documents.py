"""JSON files that describe many images, as rows of a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

FILE_NAME = "file_name"
_LISTS = ("data", "samples", "items", "rows", "entries", "images", "annotations")


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
    captions: dict[object, list[object]] = defaultdict(list)
    for annotation in annotations:
        if isinstance(annotation, Mapping) and "caption" in annotation:
            captions[annotation.get("image_id")].append(annotation["caption"])
    for image in images:
        if isinstance(image, Mapping) and captions:
            yield {**_row(image), "captions": captions.get(image.get("id"), [])}


def _named(document: Mapping[str, object]) -> Iterator[dict[str, object]]:
    for name, value in document.items():
        fields = dict(value) if isinstance(value, Mapping) else {"captions": value}
        yield {FILE_NAME: name, **fields}
