"""Which column of a typed table is the image, the captions, the class, and what its values say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from textok.config.check import require
from textok.data.captions import caption_columns
from textok.data.column_names import FILE_NAMES, column_called, columns_called, named_column
from textok.data.conversations import ANSWERING, SAID
from textok.data.written_lists import INSIDE

IMAGE_NAMES = (
    *("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "gif"),
    *("image_bytes", "img_bytes", "image_data", "bytes"),
)
"""Names of columns of encoded images; of several the first one there holds."""
KEY_NAMES = (
    *("key", "__key__", "id", "image_id", "img_id", "file_name", "filename"),
    *("image_name", "cocoid", "imgid", "uid"),
)
"""Names of columns whose values can be keys; the first one with unique values holds."""
LABEL_NAMES = ("label", "labels", "class", "cls")
TEXT_FILE = "txt"
"""Column of captions where the hub shows a WebDataset as a table."""

Holds = Literal["bytes", "struct", "files"]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table are for."""

    image: str
    holds: Holds
    """Encoded images, structs of ``bytes`` and ``path``, or names of files."""
    captions: tuple[str, ...]
    told: bool
    """Whether the user names the columns of captions: then all count, else the first with any."""
    label: str
    """Empty: there are no classes."""
    keys: tuple[str, ...]
    """Columns whose values are keys if they are unique, the best first."""
    fields: tuple[str, ...]
    """What ``data.where`` can ask for: scalars, and lists of them."""
    classes: Mapping[str, Sequence[str]]
    """Names of the classes by column, where its values are their numbers."""


def find_columns(
    features: Mapping[str, Any], *, image_column: str = "", named_captions: Sequence[str] = ()
) -> Columns | None:
    """The columns of a table with these ``features`` of the `datasets` library.

    Returns None where no column holds images. ``image_column`` and ``named_captions`` are the
    user's choice; case, spaces and dashes of a name do not matter.

    Raises:
        ValueError: a column that the user names is not there or holds no images, or several
            columns hold images and none has a usual name.
    """
    image = _image_column(features, image_column)
    if image is None:
        return None
    plain = {name: kind for name, kind in features.items() if name != image[0]}
    told = tuple(named_column(name, plain, "data.caption_columns") for name in named_captions)
    captions = told or _caption_columns(plain)
    usual = tuple(name for name in columns_called(KEY_NAMES, plain) if _is_key(plain[name]))
    label = _label_column({n: kind for n, kind in plain.items() if n not in captions})
    return Columns(
        image=image[0],
        holds=image[1],
        captions=captions,
        told=bool(told),
        label=label,
        keys=(image[0], *usual) if image[1] == "files" else usual,
        fields=tuple(
            name
            for name, kind in plain.items()
            if name not in captions and not name.startswith("__index_level") and _is_field(kind)
        ),
        classes={name: kind.names for name, kind in plain.items() if _is_class(kind)},
    )


def _image_column(features: Mapping[str, Any], wanted: str) -> tuple[str, Holds] | None:
    held = {name: holds for name, kind in features.items() if (holds := _holds(kind))}
    if wanted:
        name = named_column(wanted, features, "data.image_column")
        require(
            name in held, f"data.image_column {name} holds no images: it is {_kind(features[name])}"
        )
        return name, held[name]
    typed = {name: held[name] for name, kind in features.items() if held.get(name) == "struct"}
    usual = column_called(IMAGE_NAMES, typed)
    if typed:
        require(
            usual is not None or len(typed) == 1,
            f"the columns {', '.join(typed)} hold images; name one with data.image_column",
        )
        return usual or next(iter(typed)), "struct"
    for names, holds in ((IMAGE_NAMES, "bytes"), (FILE_NAMES, "files")):
        fitting = {name: held[name] for name in held if held[name] == holds}
        if found := column_called(names, fitting):
            return found, fitting[found]
    return None


def _holds(kind: Any) -> Holds | None:
    if type(kind).__name__ == "Image":
        return "struct"
    if isinstance(kind, Mapping):
        parts = {name: getattr(part, "dtype", "") for name, part in kind.items()}
        return "struct" if "binary" in str(parts.get("bytes")) else None
    dtype = str(getattr(kind, "dtype", ""))
    if dtype in ("binary", "large_binary"):
        return "bytes"
    return "files" if dtype in ("string", "large_string") else None


def _caption_columns(features: Mapping[str, Any]) -> tuple[str, ...]:
    texts = [name for name, kind in features.items() if _is_text(kind)]
    return tuple(caption_columns(texts)) or ((TEXT_FILE,) if TEXT_FILE in texts else ())


def _label_column(features: Mapping[str, Any]) -> str:
    scalars = {name: kind for name, kind in features.items() if _is_scalar(kind)}
    usual = columns_called(LABEL_NAMES, scalars)
    classes = [name for name, kind in scalars.items() if _is_class(kind)]
    return usual[0] if usual else classes[0] if len(classes) == 1 else ""


def _is_class(kind: Any) -> bool:
    return type(kind).__name__ == "ClassLabel" and bool(kind.names)


def _is_scalar(kind: Any) -> bool:
    """A number, a truth value, a text, a date or a class; no list, no bytes."""
    dtype = str(getattr(kind, "dtype", "binary"))
    return type(kind).__name__ in ("Value", "ClassLabel") and "binary" not in dtype


def _inner(kind: Any) -> Any:
    """What a list holds; None for anything else."""
    if isinstance(kind, list):
        return kind[0] if kind else None
    return getattr(kind, "feature", None)


def _is_field(kind: Any) -> bool:
    inner = _inner(kind)
    few = inner is not None and "float" not in str(getattr(inner, "dtype", ""))
    return _is_scalar(inner) if few else _is_scalar(kind)


def _is_key(kind: Any) -> bool:
    dtype = str(getattr(kind, "dtype", ""))
    return _is_scalar(kind) and ("string" in dtype or "int" in dtype) and not _is_class(kind)


def _is_text(kind: Any) -> bool:
    inner = _inner(kind)
    if inner is not None:
        return _is_text(inner)
    if isinstance(kind, Mapping):
        return any(
            name in kind and _is_text(kind[name]) for name in (*INSIDE, *SAID, *ANSWERING[:2])
        )
    return "string" in str(getattr(kind, "dtype", "")) and _is_scalar(kind)


def _kind(kind: Any) -> str:
    return str(getattr(kind, "dtype", None) or type(kind).__name__)
