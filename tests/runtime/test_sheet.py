from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageChops

from textok.runtime.sheet import picture_sheet, save_picture

RED, BLUE = (255, 0, 0), (0, 0, 255)


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (16, 16)) -> Image.Image:
    return Image.new("RGB", size, colour)


def area(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Bounding box of all pixels of exactly this colour."""
    difference = ImageChops.difference(sheet, Image.new("RGB", sheet.size, colour))
    box = difference.convert("L").point(lambda value: 255 * (value == 0)).getbbox()
    assert box is not None
    return box


def test_columns_stand_side_by_side_in_cells() -> None:
    sheet = picture_sheet({"one": [flat(RED)], "two": [flat(BLUE)]}, None, cell=64)
    red, blue = area(sheet, RED), area(sheet, BLUE)

    assert (red[2] - red[0], red[3] - red[1]) == (64, 64)
    assert (blue[2] - blue[0], blue[3] - blue[1]) == (64, 64)
    assert red[1] == blue[1]
    assert red[2] <= blue[0]


def test_proportions_are_kept() -> None:
    sheet = picture_sheet({"wide": [flat(RED, (32, 16))]}, None, cell=64)
    left, top, right, bottom = area(sheet, RED)

    assert (right - left, bottom - top) == (64, 32)


def test_a_long_caption_makes_its_row_higher() -> None:
    columns = {"original": [flat(RED), flat(BLUE)]}
    short = picture_sheet(columns, ["a cat", "a dog"], cell=64)
    long = picture_sheet(columns, ["a cat " * 100, "a dog"], cell=64)

    assert long.width == short.width
    assert area(long, BLUE)[1] > area(short, BLUE)[1]


def test_an_unbroken_word_stays_on_the_sheet() -> None:
    sheet = picture_sheet({"original": [flat(RED)]}, ["x" * 300], cell=64)

    right_edge = sheet.crop((sheet.width - 4, 0, sheet.width, sheet.height))
    assert right_edge.getextrema() == ((255, 255), (255, 255), (255, 255))


def test_accents_are_left_out_rather_than_drawn_as_boxes() -> None:
    columns = {"original": [flat(RED)]}

    accented = picture_sheet(columns, ["Côte d’Ivoire"], cell=64)
    assert accented.tobytes() == picture_sheet(columns, ["Cote d’Ivoire"], cell=64).tobytes()


def test_a_saved_picture_leaves_nothing_else(tmp_path: Path) -> None:
    save_picture(flat(RED), tmp_path / "sheet.png")

    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    assert Image.open(tmp_path / "sheet.png").getpixel((0, 0)) == RED
