"""Image formats: which file is in which, and what reads it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

_ALWAYS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pnm"),
)
_NEEDS = {
    ".avif": "Pillow 11.3",
    ".jp2": "Pillow with JPEG 2000",
    ".j2k": "Pillow with JPEG 2000",
    ".heic": "pillow-heif",
    ".heif": "pillow-heif",
    ".jxl": "pillow-jxl-plugin",
}
"""What reads a format that not every installation reads."""
IMAGE_SUFFIXES = frozenset((*_ALWAYS, *_NEEDS))
"""Of image files, whether they can be read here or not."""
_STARTS = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"P6", "PPM"),
    (0, b"P5", "PPM"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
)
_LONGEST = 16
# Opened by their own class: Image.open would apply a limit that only a process-wide flag changes.
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}
_PLUGINS = {
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": ("pillow_heif", "HeifImageFile"),
    "JPEG XL": ("pillow_jxl.JpegXLImagePlugin", "JXLImageFile"),
}
_SUFFIXES = {"AVIF": ".avif", "JPEG 2000": ".jp2", "HEIC": ".heic", "JPEG XL": ".jxl"}


def format_of(data: bytes) -> str:
    """The format of an encoded image, by its first bytes; empty for none that is known."""
    return next((name for at, start, name in _STARTS if data[at:].startswith(start)), "")


def reader_of(name: str) -> type[ImageFile.ImageFile] | None:
    """What decodes a format; None where nothing installed does."""
    if not reads(_SUFFIXES.get(name, ".jpg")):
        return None
    if name in _PLUGINS:
        module, reader = _PLUGINS[name]
        found: type[ImageFile.ImageFile] = getattr(import_module(module), reader)
        return found
    return _READERS.get(name)


def reads(suffix: str) -> bool:
    """Whether images with this suffix can be read here."""
    match suffix:
        case ".avif":
            return bool(features.check("avif"))
        case ".jp2" | ".j2k":
            return bool(features.check("jpg_2000"))
        case ".heic" | ".heif":
            return find_spec("pillow_heif") is not None
        case ".jxl":
            return find_spec("pillow_jxl") is not None
    return suffix in _ALWAYS


def needs(name: str) -> str:
    """What reads a format (``AVIF``) or a suffix (``.avif``), where it is not read here."""
    return _NEEDS[_SUFFIXES.get(name, name)]


def looks_like_image(data: bytes) -> bool:
    """Whether a file of unknown kind is an image that can be read, by three bytes or more."""
    sure = any(len(start) > 2 and data[at:].startswith(start) for at, start, _ in _STARTS)
    return sure and reader_of(format_of(data)) is not None
