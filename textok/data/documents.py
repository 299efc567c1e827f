"""JSON files that describe many images, as rows of a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from textok.data.captions import caption_columns
from textok.data.column_names import FILE_NAME, FILE_NAMES, SPLIT, columns_called
from textok.data.folder import is_image
from textok.data.splits import split_name

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
    dataset.json; columns, as pandas and `datasets` write them; an object with a list of any of
    these; and objects from name to caption. An object from the names of splits to any of these
    gives rows that have the split in ``split``.

    Raises:
        ValueError: anything else.
    """
    splits = _splits(document)
    for split, part in splits.items():
        yield from ({**row, SPLIT: split} for row in _undivided(part))
    if not splits:
        yield from _undivided(document)


def is_document(fields: Mapping[str, object]) -> bool:
    """Whether an object describes many images, and is no row of a table."""
    return _is_coco(fields) or bool(_columns(fields) or _splits(fields))


def _undivided(document: object) -> Iterator[dict[str, object]]:
    if isinstance(document, list):
        yield from map(_row, document)
    elif not isinstance(document, Mapping):
        raise ValueError("no list of objects, and no object")
    elif _is_coco(document):
        yield from _coco(document["images"], document["annotations"])
    elif columns := _columns(document):
        rows = next(iter(columns.values()))
        yield from ({name: column[row] for name, column in columns.items()} for row in rows)
    elif isinstance(document.get("labels"), list):
        for name, label in map(_pair, document["labels"]):
            yield {FILE_NAME: name, "label": label}
    else:
        _check_lengths(document)
        several = next((document[n] for n in _LISTS if isinstance(document.get(n), list)), None)
        yield from _named(document) if several is None else map(_row, several)


def _splits(document: object) -> Mapping[str, object]:
    """The parts of an object from the names of splits to rows; none for another."""
    pairs = document.items() if isinstance(document, Mapping) else ()
    lists = [(name, part) for name, part in pairs if isinstance(part, list) and part]
    parts: dict[str, object] = {name: part for name, part in lists if _are_rows(part)}
    parts = parts or {name: part for name, part in pairs if isinstance(part, Mapping)}
    told = all(map(split_name, parts)) and all(map(_are_rows, parts.values()))
    return parts if told and any(parts.values()) else {}


def _are_rows(part: object) -> bool:
    """Whether a part has rows, not the captions of one image."""
    if isinstance(part, Mapping):
        return bool(_columns(part)) or not caption_columns(list(part))
    return isinstance(part, list) and not any(isinstance(entry, str) for entry in part)


def _is_coco(document: Mapping[str, object]) -> bool:
    images, annotations = document.get("images"), document.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        return False
    return not images or any(isinstance(image, Mapping) for image in images)


def _columns(document: Mapping[str, object]) -> Mapping[str, Mapping[object, object]]:
    """The columns of a table that was written by column, their values by row; none for another.

    One has names of images alone, or a usual name beside one of captions; and not all have those.
    """
    columns = {name: _by_row(values) for name, values in _lists_of(document).items()}
    same = len({frozenset(column) for column in columns.values()}) == 1
    if not same or len(columns) < 2 or any(map(is_image, columns)) or not any(columns.values()):
        return {}
    of_images = sum(all(map(_is_image, column.values())) for column in columns.values())
    usual = columns_called((*FILE_NAMES, "images"), columns) and caption_columns(list(columns))
    return columns if usual or 0 < of_images < len(columns) else {}


def _check_lengths(document: Mapping[str, object]) -> None:
    """Raise ValueError for what would be columns, were they of one length."""
    lengths = {name: len(one) for name, one in document.items() if isinstance(one, (list, Mapping))}
    usual = columns_called(FILE_NAMES, lengths) and caption_columns(list(lengths))
    if usual and len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"columns of different lengths: {told}")


def _lists_of(document: Mapping[str, object]) -> Mapping[str, object]:
    """The fields that may be columns; pandas may keep names and rows (``orient="split"``)."""
    names, rows = document.get("columns"), document.get("data")
    if not isinstance(names, list) or not isinstance(rows, list):
        return {name: one for name, one in document.items() if isinstance(one, (list, Mapping))}
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return {}
    return {str(name): [row[at] for row in rows] for at, name in enumerate(names)}


def _by_row(values: object) -> Mapping[object, object]:
    if isinstance(values, Mapping):
        return values
    return dict(enumerate(values)) if isinstance(values, list) else {}


def _is_image(value: object) -> bool:
    """Whether a value is the name of an image, as JSON has it."""
    if isinstance(value, Mapping) and value.keys() <= {"bytes", "path"}:
        value = value.get("path")
    return isinstance(value, str) and is_image(value)


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
        own = columns_called(FILE_NAMES, fields)
        named = not is_image(name) and any(_is_image(fields[column]) for column in own)
        yield {"id": name, **fields} if named else {FILE_NAME: name, **fields}
