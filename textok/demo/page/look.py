"""How the page looks: system fonts, light and dark, on a desktop and on a phone."""

from __future__ import annotations

import gradio as gr

CSS = """
.gradio-container {width: 100% !important; max-width: 1120px !important; margin: 0 auto !important}
.lead p {font-size: 1.05em; max-width: 72ch}
.quiet, .quiet p, .notes p {color: var(--body-text-color-subdued)}
.quiet p {margin: 0}
.notes p {margin: .5em 0 0}
.cards {display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr))}
.cards figure, .cells figure {margin: 0}
.card {display: flex; flex-direction: column; gap: 6px; padding: 10px; border-radius: 8px;
  background: var(--background-fill-secondary); border: 1px solid var(--border-color-primary)}
.card figcaption span {display: block; font-variant-numeric: tabular-nums; font-size: .9em}
.card img, .cells img {width: 100%; aspect-ratio: 1; border-radius: 4px; background: #fff}
.cells img {border: 1px solid var(--border-color-primary)}
.under {margin-top: auto; display: flex; gap: 8px; align-items: center}
.under img {width: 40%; flex: none}
.under small, .cells figcaption {color: var(--body-text-color-subdued); line-height: 1.25}
.cells {display: grid; gap: 8px; grid-template-columns: repeat(var(--n), minmax(0, 170px))}
.cells figcaption {font-size: .8em; text-align: center}
.grid h4 {margin: .8em 0 .3em; font-weight: 600}
.html-container {padding: 0 !important}
img.sharp, .pictures img {image-rendering: pixelated}
.pictures.block {border-width: 0 !important}
#drawn {border-width: 1px !important}
.strip .grid-wrap {min-height: 0 !important; height: auto !important; max-height: none !important}
.strip .grid-container {grid-template: none / repeat(6, minmax(0, 1fr)) !important;
  grid-auto-rows: auto !important; gap: 4px; padding: 0 !important}
#drawn .grid-container {grid-template: none / repeat(auto-fill, minmax(130px, 1fr)) !important;
  grid-auto-rows: auto !important}
.strip .thumbnail-item {min-width: 0; height: auto !important; aspect-ratio: 1; background: #fff}
@media (max-width: 640px) {
  .row > .column.result {order: -1}
}
@media (max-width: 480px) {
  .cards {grid-template-columns: 1fr 1fr; gap: 8px}
  .under small {font-size: .68em}
  .cells {gap: 4px}
  .cells figcaption {font-size: .68em}
}
"""


def theme() -> gr.themes.Base:
    """Gradio's plain theme in the fonts that the visitor's machine has."""
    return gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
