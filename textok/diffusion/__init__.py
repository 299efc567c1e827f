"""Diffusion and flow matching on tokens (B, K, C): objectives and samplers, apart from networks."""

from textok.diffusion.flow import Flow
from textok.diffusion.objective import Objective, objective

__all__ = ["Flow", "Objective", "objective"]
