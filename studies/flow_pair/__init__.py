"""A nested pair whose decoder samples, with captions and without: of any data set."""
