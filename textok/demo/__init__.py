"""What the package shows of itself, on the pictures that ship with it."""
