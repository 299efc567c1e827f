"""Name the main colours of an image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PALETTE = {
    "black": "#101010",
    "dark gray": "#4a4a4c",
    "gray": "#8a8a8c",
    "light gray": "#c8cacc",
    "white": "#fafafa",
    "red": "#dc2a35",
    "dark red": "#8e1c22",
    "pink": "#f58cb0",
    "magenta": "#d4309a",
    "orange": "#f78c28",
    "peach": "#f8cfa6",
    "yellow": "#fdd03a",
    "light yellow": "#fdf0a0",
    "tan": "#cda075",
    "brown": "#925a36",
    "dark brown": "#54362a",
    "olive": "#84862e",
    "light green": "#9ad66c",
    "green": "#3fa345",
    "dark green": "#1c5a34",
    "teal": "#12908c",
    "turquoise": "#54d0d2",
    "light blue": "#9ad0f4",
    "blue": "#2f7fdb",
    "dark blue": "#22367e",
    "slate": "#5c7286",
    "lavender": "#bfa4e8",
    "purple": "#7c3fae",
}
MAIN_SHARE = 0.12

Floats = npt.NDArray[np.float64]


def main_colours(rgb: npt.NDArray[np.uint8], inside: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """Name at most three colours that each cover over 12 % of the foreground, largest first.

    Args:
        rgb: (H, W, 3) sRGB values.
        inside: (H, W), True on the foreground; with no foreground there are no colours.
    """
    pixels = rgb[inside]
    if len(pixels) == 0:
        return ()
    names = list(PALETTE)
    palette = np.array([[*bytes.fromhex(PALETTE[name][1:])] for name in names], dtype=np.uint8)
    offsets = _to_lab(pixels)[:, None] - _to_lab(palette)[None]
    counts = np.bincount((offsets**2).sum(-1).argmin(1), minlength=len(names))
    largest = np.argsort(-counts, kind="stable")[:3]
    return tuple(names[i] for i in largest if counts[i] > MAIN_SHARE * len(pixels))


def _to_lab(rgb: npt.NDArray[np.uint8]) -> Floats:
    """Turn sRGB bytes (N, 3) into CIE L*a*b* (N, 3), white point D65 (IEC 61966-2-1, CIE 1976)."""
    value = rgb.astype(np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[:, 0], f[:, 1], f[:, 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
