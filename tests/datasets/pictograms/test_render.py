from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from textok.datasets.pictograms.render import Job, render
from textok.datasets.pictograms.sources import Drawing


def draw(
    tmp_path: Path, data: bytes, *, is_svg: bool = True
) -> tuple[Image.Image, tuple[str, ...]]:
    drawing = Drawing(style="noto", code="1f600", name="x", data=data, is_svg=is_svg)
    path = tmp_path / "x.webp"
    measured = render(Job(drawing=drawing, path=path, size=64))
    assert len(bytes.fromhex(measured.thumb)) == 16 * 16 * 3
    assert [child.name for child in tmp_path.iterdir()] == ["x.webp"]
    return Image.open(path), measured.colours


@pytest.mark.parametrize(("width", "height"), [(20, 10), (10, 20)])
def test_the_longest_side_fills_the_frame_on_white(tmp_path: Path, width: int, height: int) -> None:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
        f'<rect width="{width}" height="{height}" fill="#dc2a35"/></svg>'
    )
    picture, colours = draw(tmp_path, svg.encode())
    assert picture.size == (64, 64)
    assert colours == ("red",)
    tall = height > width
    for along, across, colour in [(1, 32, (220, 42, 53)), (32, 32, (220, 42, 53)), (32, 4, None)]:
        place = (across, along) if tall else (along, across)
        assert picture.getpixel(place) == (colour or (255, 255, 255))


def test_a_raster_drawing_is_flattened_on_white(tmp_path: Path) -> None:
    memory = io.BytesIO()
    source = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    source.paste((47, 127, 219, 255), (0, 0, 128, 256))
    source.save(memory, "WEBP", lossless=True)
    picture, colours = draw(tmp_path, memory.getvalue(), is_svg=False)
    assert colours == ("blue",)
    assert picture.getpixel((10, 30)) == (47, 127, 219)
    assert picture.getpixel((60, 30)) == (255, 255, 255)


def test_blank_and_broken_drawings_are_refused(tmp_path: Path) -> None:
    blank = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"></svg>'
    with pytest.raises(ValueError, match="noto-1f600: blank"):
        draw(tmp_path, blank)
    with pytest.raises(ValueError, match=r".+"):
        draw(tmp_path, b"<svg")
