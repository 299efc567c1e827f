from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from textok.data.pixels import (
    BadImageError,
    adm_to_square,
    decode,
    pil_to_square,
    to_pil,
    to_square,
    to_tensor,
)


def file_bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(side: int = 64) -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    )


def first_pixel(data: bytes) -> tuple[int, ...]:
    image = decode(data, size=4)
    assert image.mode == "RGB"
    return tuple(np.asarray(image)[0, 0].tolist())


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    levels = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    image = decode(file_bytes(Image.fromarray(levels)), size=4)
    assert np.asarray(image)[0, :, 0].tolist() == [0, 1, 128, 255]
    image = decode(file_bytes(Image.fromarray(levels), transparency=257), size=4)
    assert np.asarray(image)[0, :, 0].tolist() == [0, 255, 128, 255]


def test_transparent_parts_are_white_and_half_transparent_ones_mixed() -> None:
    assert first_pixel(file_bytes(Image.new("RGBA", (4, 4), (255, 0, 0, 0)))) == (255, 255, 255)
    assert first_pixel(file_bytes(Image.new("RGBA", (4, 4), (255, 0, 0, 51)))) == (255, 204, 204)
    assert first_pixel(file_bytes(Image.new("LA", (4, 4), (0, 0)))) == (255, 255, 255)


def test_palettes_keep_their_colours_and_their_transparency() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 9, 9, 200, 100, 50])
    assert first_pixel(file_bytes(palette)) == (200, 100, 50)
    assert first_pixel(file_bytes(palette, transparency=1)) == (255, 255, 255)


def test_a_transparent_colour_of_an_rgb_png_is_white() -> None:
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    assert first_pixel(file_bytes(image, transparency=(1, 2, 3))) == (255, 255, 255)


@pytest.mark.parametrize(
    ("mode", "colour", "kind", "expected"),
    [
        ("L", 77, "PNG", (77, 77, 77)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), "TIFF", (255, 0, 0)),
    ],
)
def test_other_modes_become_rgb(
    mode: str, colour: object, kind: str, expected: tuple[int, ...]
) -> None:
    assert first_pixel(file_bytes(Image.new(mode, (4, 4), colour), kind)) == expected


def test_a_cmyk_jpeg_keeps_its_colour() -> None:
    red = first_pixel(file_bytes(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(np.subtract(red, (255, 0, 0))).max() <= 4


def test_exif_rotation_is_applied() -> None:
    image = Image.new("RGB", (8, 4), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: the top left corner belongs at the top right
    upright = decode(file_bytes(image, exif=exif), size=4)
    assert upright.size == (4, 8) and upright.getpixel((3, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_counts(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black", "red")]
    data = file_bytes(frames[0], kind, save_all=True, append_images=frames[1:])
    assert first_pixel(data) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    data = file_bytes(noise(), kind)
    assert decode(data, size=64).size == (64, 64)
    with pytest.raises(BadImageError):
        decode(data[: int(len(data) * share)], size=64)


def test_files_without_a_picture_are_refused() -> None:
    with pytest.raises(BadImageError, match="empty file"):
        decode(b"", size=8)
    with pytest.raises(BadImageError, match="no known image format"):
        decode(b"<html>not found</html>", size=8)
    damaged = bytearray(file_bytes(noise()))
    damaged[2000:2100] = bytes(100)
    with pytest.raises(BadImageError, match=r"^damaged: "):
        decode(bytes(damaged), size=8)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(BadImageError, match="no defined range"):
        decode(file_bytes(Image.new("F", (4, 4)), "TIFF"), size=4)


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size() -> None:
    data = file_bytes(Image.new("L", (20_000, 2_000), 100), "JPEG")
    image = decode(data, size=64)
    assert image.size == (2_500, 250)  # an eighth
    assert decode(data, size=500).size == (10_000, 1_000)  # a half: 1,000 is twice 500


def test_a_file_over_the_limit_is_refused_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    small = file_bytes(noise())
    data = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    with pytest.raises(BadImageError, match="20000 x 20000 pixels, over the limit of 100,000,000"):
        decode(data, size=64)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # another library's wish does not matter
    assert decode(file_bytes(noise()), size=64).size == (64, 64)


def test_the_square_is_placed_by_crop() -> None:
    ramp = Image.fromarray(np.arange(12, dtype=np.uint8)[None].repeat(4, 0))
    for place, first in ((0.0, 0), (0.5, 4), (1.0, 8)):
        square = pil_to_square(ramp, 4, (place, 0.5))
        assert square.shape == (4, 4, 3) and square.dtype == np.uint8
        assert square[0, :, 0].tolist() == list(range(first, first + 4))


def test_squares_are_resized_with_antialiasing() -> None:
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = pil_to_square(Image.fromarray(stripes), 8)
    assert small.min() >= 120 and small.max() <= 135  # the mean, no beats
    large = pil_to_square(Image.new("RGB", (3, 5), (9, 8, 7)), 16)
    assert large.shape == (16, 16, 3) and (large == (9, 8, 7)).all()


def test_squares_of_extreme_pictures_stay_small() -> None:
    assert pil_to_square(Image.new("RGB", (1_000_000, 1), "white"), 64).min() == 255


def test_tensors_have_the_declared_range_and_come_back_exactly() -> None:
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    tensor = to_tensor(levels)
    assert tensor.shape == (3, 16, 16) and tensor.dtype == torch.float32
    assert tensor[0, 0, 0] == -1 and tensor[2, -1, -1] == 1
    assert (np.asarray(to_pil(tensor)) == levels).all()
    assert torch.equal(to_tensor(torch.as_tensor(levels)[None])[0], tensor)


def test_to_pil_clamps_and_rounds() -> None:
    tensor = torch.tensor([-7.0, 7.0, 100.4 / 127.5 - 1]).view(3, 1, 1)
    assert to_pil(tensor).getpixel((0, 0)) == (0, 255, 100)


def test_pil_to_square_converts_other_modes_as_decode_does() -> None:
    assert (pil_to_square(Image.new("RGBA", (4, 4), (9, 9, 9, 0)), 4) == 255).all()


def test_adm_halves_by_averages_then_crops_the_middle() -> None:
    # 9 x 4 pixels of 20 x column, to a square of 2: halved once to 4 x 2, whose middle two remain.
    # They average the columns whose centres lie from 2.25 to 4.5 and from there to 6.75.
    columns = 20 * np.arange(9, dtype=np.uint8)
    picture = Image.fromarray(np.broadcast_to(columns[None, :, None], (4, 9, 3)).copy())
    found = adm_to_square(picture, 2)
    assert (found.shape, found.dtype) == ((2, 2, 3), np.uint8)
    assert found[0, :, 0].tolist() == [(40 + 60 + 80) // 3, (100 + 120) // 2]
    assert (found == found[:1, :, :1]).all()


def test_adm_rounds_the_longer_side_and_cuts_the_odd_pixel_behind() -> None:
    # 3 x 5 to 2: no halving; the height is 5 x 2 / 3 = 3.3, 3 pixels, of which the first 2 remain.
    picture = noise(8).crop((0, 0, 3, 5))
    whole = np.asarray(picture.resize((2, 3), Image.Resampling.BICUBIC))

    assert np.array_equal(adm_to_square(picture, 2), whole[:2])
    # Small pictures are enlarged; one of the size asked for stays as it is.
    assert adm_to_square(picture, 12).shape == (12, 12, 3)
    assert np.array_equal(adm_to_square(noise(8), 8), np.asarray(noise(8)))


def test_adm_places_its_square_by_crop() -> None:
    # 10 x 4 of 20 x column, to 2: halved to 5 x 2, columns of 10, 50, 90, 130 and 170.
    columns = 20 * np.arange(10, dtype=np.uint8)
    picture = Image.fromarray(np.broadcast_to(columns[None, :, None], (4, 10, 3)).copy())
    found = {at: adm_to_square(picture, 2, (at, 0.3))[0, :, 0].tolist() for at in (0.0, 0.5, 1.0)}

    # The middle of three free columns is one; a half is rounded down.
    assert found == {0.0: [10, 50], 0.5: [50, 90], 1.0: [130, 170]}
    named = to_square(picture, 2, (1.0, 0.3), resize="adm")
    assert named[0, :, 0].tolist() == found[1.0]
    lanczos = to_square(picture, 2, (1.0, 0.3))
    assert np.array_equal(lanczos, pil_to_square(picture, 2, (1.0, 0.3)))
    assert not np.array_equal(lanczos, named)


def test_adm_refuses_what_would_not_fit_into_memory() -> None:
    with pytest.raises(BadImageError, match="64000000 x 64 pixels if resized, over 100,000,000"):
        adm_to_square(Image.new("RGB", (1_000_000, 1)), 64)


def test_a_large_jpeg_is_decoded_whole_where_no_size_is_given() -> None:
    data = file_bytes(noise(64), "JPEG")

    assert decode(data, size=8).size == (16, 16)
    assert decode(data, size=None).size == (64, 64)
