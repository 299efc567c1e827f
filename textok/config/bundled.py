"""The model that ships inside the package."""

from __future__ import annotations

BUNDLED = "products"
"""Its name wherever a model can be named: products of 64 x 64 pixels from their names."""

FORMER = {
    "pictograms": "textok data pictograms data/pictograms-64 --size 64, then "
    "textok train tokenizer pictograms-64",
}
"""Names of models that shipped once, and the commands that train them."""
