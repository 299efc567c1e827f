"""Builders of data sets: a published archive, or files of any layout, to a set for training."""
