"""Samplers: from noise to data along a falling grid of times.

Each is a function of a callable, which is given x (B, K, C) and the index of a time of the grid,
and of the x to start from; it gives x after each step, and the last is the sample.
"""

from textok.diffusion.samplers.ancestral import ancestral
from textok.diffusion.samplers.dpm import ddim, dpmpp
from textok.diffusion.samplers.ode import euler, heun

__all__ = ["ancestral", "ddim", "dpmpp", "euler", "heun"]
