"""An account of what the readers found, and of what they had to leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from textok.config.check import one_line
from textok.data.formats import needs

LISTED = 5
HALF = 0.5
"""Where fewer images have captions, the user is told what to do."""


class BadFilesError(ValueError):
    """Too many files of a data set cannot be read; the message names some of them."""


@dataclass(kw_only=True)
class ReadReport:
    """What was read and what was left out; ``bad`` grows while images are read."""

    images: int = 0
    """Records kept."""
    captions: int = 0
    """Of all records kept."""
    without_caption: int = 0
    """Kept records whose caption is missing or empty."""
    classes: int = 0
    """Distinct labels."""
    reads_from: list[str] = field(default_factory=list)
    """Where captions come from, if that was found and not told."""
    sided: int = 0
    """Captions that say left or right, where ``data.flip`` leaves their images as they are."""
    void: int = 0
    """Captions that say ``nan``, ``None`` or the like: absent."""
    not_text: int = 0
    """Captions that are truth values or mappings: absent."""
    empty: int = 0
    """Texts beside images with nothing in them."""
    numeric: int = 0
    """Texts of numbers alone: boxes, classes, scores."""
    captionless: dict[str, str] = field(default_factory=dict)
    """Tables that were read and gave no caption, and what is in them."""
    numbered: dict[str, str] = field(default_factory=dict)
    """Tables that name files without the zeros of their names, and how."""
    joined: int = 0
    """Texts with blank lines, each read as one caption."""
    recoded: dict[str, str] = field(default_factory=dict)
    """Texts that are not in UTF-8, and the encoding they were read in."""
    undecodable: dict[str, str] = field(default_factory=dict)
    """Texts whose encoding cannot be told, and why: their captions are absent."""
    unread: list[str] = field(default_factory=list)
    """Files that look like captions and were not read."""
    filtered: int = 0
    """Records that ``where`` left out."""
    unlisted: int = 0
    """Image files that no row of the folder's table names; left out."""
    beside: dict[str, int] = field(default_factory=dict)
    """Images in folders beside those of the splits, by folder; left out."""
    thumbnails: int = 0
    """Image files in folders that a program keeps its previews in; left out."""
    formats: dict[str, int] = field(default_factory=dict)
    """Image files of formats that nothing installed reads, by suffix; left out."""
    dotted: list[str] = field(default_factory=list)
    """Images in shards with a dot in their names before the suffix; left out."""
    duplicates: list[str] = field(default_factory=list)
    """Keys that came again; the first holds."""
    truncated: dict[str, int] = field(default_factory=dict)
    """Shards that end too early, read up to there, and how many images are thought to be lost."""
    pictureless: int = 0
    """Images that a set describes but that are not there."""
    malformed: dict[str, str] = field(default_factory=dict)
    """Image of each row that has more fields than the table has columns, and where; left out."""
    short: dict[str, str] = field(default_factory=dict)
    """Rows with too few fields to have a caption, and where."""
    missing: dict[str, str] = field(default_factory=dict)
    """Key of each image that is named but does not exist, and who names it."""
    bad: dict[str, str] = field(default_factory=dict)
    """Key and reason of each image that could not be read."""

    def add(self, other: ReadReport, *, prefix: str) -> None:
        """Count what ``other`` counts, with ``prefix`` before its keys."""
        for name in ("void", "not_text", "empty", "numeric", "joined", "unlisted", "thumbnails",
                     "pictureless"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for suffix, count in other.formats.items():
            self.formats[suffix] = self.formats.get(suffix, 0) + count
        self.beside |= {prefix + folder: count for folder, count in other.beside.items()}
        for keys, more in (
            (self.reads_from, other.reads_from),
            (self.unread, other.unread),
            (self.dotted, other.dotted),
            (self.duplicates, other.duplicates),
        ):
            keys += [prefix + key for key in more]
        self.truncated |= {prefix + name: lost for name, lost in other.truncated.items()}
        for reasons, added in (
            (self.captionless, other.captionless),
            (self.numbered, other.numbered),
            (self.recoded, other.recoded),
            (self.undecodable, other.undecodable),
            (self.malformed, other.malformed),
            (self.short, other.short),
            (self.missing, other.missing),
        ):
            reasons |= {prefix + key: reason for key, reason in added.items()}

    def check_share(self, max_share: float) -> None:
        """Refuse data of which too much is lost.

        Raises:
            BadFilesError: over ``max_share`` of all images named are missing or unreadable, or in
                shards that end too early.
        """
        lost = {**self.missing, **self.malformed, **self.bad}
        lost |= dict.fromkeys(self.truncated, "ends too early")
        cut = sum(self.truncated.values())
        count = len(lost) - len(self.truncated) + cut
        named = self.images + len(self.missing) + len(self.malformed) + cut
        if count > max_share * named:
            raise BadFilesError(
                f"{'about ' if cut else ''}{count} of {named} images cannot be read, over "
                f"data.max_bad_share = {max_share:g}: {_some(lost)}; repair or remove them, or "
                "raise the share"
            )

    def left_out(self) -> dict[str, int]:
        """Images that are not used, by the reason; without those that ``where`` excludes."""
        unreadable = {f"{suffix} files": count for suffix, count in self.formats.items()}
        counts = {
            **{_AS[name]: getattr(self, name) for name in ("filtered", "unlisted", "thumbnails")},
            _AS["beside"]: sum(self.beside.values()),
            **unreadable,
            **{_AS[name]: len(getattr(self, name)) for name in ("dotted", "duplicates")},
            _AS["truncated"]: sum(self.truncated.values()),
            _AS["pictureless"]: self.pictureless,
            **{_AS[name]: len(getattr(self, name)) for name in ("malformed", "missing", "bad")},
        }
        return {reason: count for reason, count in counts.items() if count}

    def messages(self) -> list[str]:
        """What a user should know before anything is made of the images, a line each."""
        captioned = self.images - self.without_caption
        several = f"{self.captions} in all" if self.captions != captioned else ""
        parts = [
            f"{self.images} images, {captioned} with captions" + f" ({several})" * bool(several)
        ]
        parts += [f"{self.classes} classes"] if self.classes else []
        parts += [f"captions from {name}" for name in self.reads_from]
        lines = ["; ".join([*parts, *self._parts("without_caption")])]
        if captioned < HALF * self.images:
            lines.append(self.cure())
        return lines

    def cure(self) -> str:
        """What to do where captions are missing."""
        held = [f"{name} holds no captions: {what}" for name, what in self.captionless.items()]
        held += [
            f"{count} {_AS[name]}" for name in (*_NOT, "empty") if (count := getattr(self, name))
        ]
        if self.undecodable:
            first = dict(islice(self.undecodable.items(), 1))
            held.append(f"{len(self.undecodable)} {_AS['undecodable']}: {_some(first)}")
        if self.unread:
            names = _some(dict.fromkeys(self.unread, ""))
            held.append(f"not read as captions: {names}")
            end = (
                "; name a table with data.table and data.caption_columns, or lay texts beside the "
                "images (docs/data.md)"
            )
        else:
            end = (
                ": lay NAME.txt beside NAME.jpg, or a metadata.jsonl, or let `textok caption` "
                "write some (docs/data.md)"
            )
        return ("; ".join(held) or "no file of captions lies there") + end

    def summary(self) -> str:
        """One line of counts, naming the first few files of each kind."""
        return "; ".join([f"{self.images} images", *self._parts()])

    def _parts(self, *told: str) -> list[str]:
        counted = ("without_caption", "sided", *_NOT, "joined", "filtered", "unlisted",
                   "thumbnails", "pictureless")  # fmt: skip
        listed = ("numbered", "duplicates", "dotted", "truncated", "missing", "malformed", "short",
                  "recoded", "undecodable", "bad")  # fmt: skip
        counts = {name: getattr(self, name) for name in counted if name not in told}
        parts = [f"{count} {_AS[name]}" for name, count in counts.items() if count]
        parts += [
            f"{count} {suffix} files left out ({needs(suffix)} reads them)"
            for suffix, count in self.formats.items()
        ]
        if self.beside:
            names = {folder: str(count) for folder, count in self.beside.items()}
            parts.append(f"{sum(self.beside.values())} {_AS['beside']}: {_some(names)}")
        for name in listed:
            keys = getattr(self, name)
            reasons = keys if isinstance(keys, dict) else dict.fromkeys(keys, "")
            reasons = dict.fromkeys(keys, "") if name == "truncated" else reasons
            parts += [f"{len(keys)} {_AS[name]}: {_some(reasons)}"] if keys else []
        return parts


_NOT = ("void", "not_text", "numeric")
"""What lies in the place of captions and is none."""
_AS = {
    "without_caption": "without a caption",
    "sided": "captions say left or right (their images are not mirrored)",
    "void": "captions say 'nan', 'None' or the like (taken as absent)",
    "not_text": "captions are no text (taken as absent)",
    "numbered": "tables name files by their numbers",
    "empty": "texts are empty",
    "numeric": "texts are numbers alone, as boxes or classes are (no captions)",
    "joined": "texts with blank lines are one caption each (data.caption_separator)",
    "filtered": "left out by data.where",
    "unlisted": "not in the table",
    "beside": "beside the splits (data.split takes the name of a folder)",
    "thumbnails": "thumbnails left out",
    "pictureless": "described but not there",
    "duplicates": "duplicate keys",
    "dotted": "with a dot in the name (a shard's key ends at the first dot)",
    "truncated": "truncated shards",
    "missing": "missing",
    "malformed": "rows with too many fields",
    "short": "rows with too few fields",
    "recoded": "texts not in UTF-8",
    "undecodable": "texts cannot be read",
    "bad": "unreadable",
}


def _some(reasons: Mapping[str, str]) -> str:
    names = [
        one_line(key) + (f" ({reason})" if reason else "")
        for key, reason in islice(reasons.items(), LISTED)
    ]
    return ", ".join(names) + (", ..." if len(reasons) > LISTED else "")
