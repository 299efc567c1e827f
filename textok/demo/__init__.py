"""What the package shows of itself, on the images that ship with it."""
