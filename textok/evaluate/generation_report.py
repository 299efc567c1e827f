"""What an evaluation of generated images found, as JSON and as tables."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from textok.config.networks import UNKNOWN
from textok.config.read import build
from textok.evaluate.class_accuracy import ClassAccuracy
from textok.evaluate.judges import marked, remarks
from textok.evaluate.markdown import markdown_bullets, markdown_table
from textok.evaluate.memorisation import Memorisation
from textok.evaluate.text_alignment import Alignment, Retrieval
from textok.metrics.inception_score import InceptionScore
from textok.metrics.interval import Interval
from textok.metrics.kernel_distance import KernelDistance, kernel_metric, thousandths
from textok.metrics.precision_recall import PrecisionRecall
from textok.runtime.files import write_text
from textok.runtime.untrusted import regular_file


@dataclass(frozen=True, kw_only=True)
class ClipScores:
    """CLIP score of the generated images, and of the real images with their captions."""

    drawn: Interval
    real: Interval


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Every number; None for what was not measured, with the reason in the protocol."""

    pictures: int
    """Generated ones."""
    frechet: float
    manifold: PrecisionRecall
    other_frechet: dict[str, float] = field(default_factory=dict)
    """In the other feature networks, by the name of the distance."""
    kernel: dict[str, KernelDistance] = field(default_factory=dict)
    """In all feature networks but sFID's, by the name of the distance."""
    inception: InceptionScore | None = None
    clip: ClipScores | None = None
    alignment: Alignment | None = None
    class_accuracy: ClassAccuracy | None = None
    memorisation: Memorisation | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationReport:
    """An evaluation of generated images with everything needed to repeat it."""

    model: str
    settings: dict[str, Any]
    """Of the sampler and the generator."""
    metric: str
    """Name of the Frechet distance that it is judged by."""
    protocol: dict[str, Any]
    scores: Scores
    warnings: list[str]
    trained_with: list[str] = field(default_factory=lambda: [UNKNOWN])
    """Perceptual losses of the tokenizer's training."""
    not_comparable: list[str] = field(default_factory=list)
    """Frechet distances in networks that the tokenizer was trained against."""

    def to_markdown(self) -> str:
        """Tables, warnings and protocol."""
        scores = self.scores
        lines = [f"# Pictures drawn by `{self.model}`", "", *self._quality(), ""]
        if "decoder captions" in self.protocol:
            lines += [f"The decoder reads {self.protocol['decoder captions']}.", ""]
        lines += remarks(self.trained_with, self.not_comparable)
        if scores.class_accuracy is not None:
            lines += ["## Class accuracy", "", *_class_accuracy(scores.class_accuracy), ""]
        if scores.alignment is not None:
            lines += ["## Text alignment", "", *_alignment(scores.alignment), ""]
        if scores.memorisation is not None:
            lines += ["## Nearest training images", "", *_memorisation(scores.memorisation), ""]
        lines += [f"- Warning: {warning}" for warning in self.warnings]
        lines += ["", "## Protocol", "", *markdown_bullets(self.protocol)]
        lines += ["", "## Settings", "", *markdown_bullets(self.settings)]
        return "\n".join(lines) + "\n"

    def _quality(self) -> list[str]:
        scores = self.scores
        distances = {self.metric: scores.frechet} | scores.other_frechet
        headings = marked({name: f"{name} ↓" for name in distances}, self.not_comparable)
        cells = {
            "pictures": str(scores.pictures),
            **{headings[name]: f"{value:.3f}" for name, value in distances.items()},
            **self._kernel(),
            "precision ↑": f"{scores.manifold.precision:.4f}",
            "recall ↑": f"{scores.manifold.recall:.4f}",
        }
        if scores.inception is not None:
            cells["IS ↑"] = f"{scores.inception.mean:.2f} ± {scores.inception.std:.2f}"
        if scores.clip is not None:
            cells["CLIP score ↑"] = _interval(scores.clip.drawn, 2)
            cells["of real images"] = _interval(scores.clip.real, 2)
        return markdown_table(list(cells), [list(cells.values())])

    def _kernel(self) -> dict[str, str]:
        """Cells of the kernel distances, in thousandths as papers have them."""
        headings = marked(
            {name: f"1000 {name} ↓" for name in self.scores.kernel},
            map(kernel_metric, self.not_comparable),
        )
        return {headings[name]: thousandths(found) for name, found in self.scores.kernel.items()}

    def write(self, folder: Path) -> None:
        """Write ``report.json`` and ``report.md`` into ``folder``."""
        content = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        write_text(folder / "report.json", content + "\n")
        write_text(folder / "report.md", self.to_markdown())


def read_generation_report(path: Path) -> GenerationReport:
    """The report in a ``report.json``. Raises ValueError where the file is something else."""
    try:
        content = json.loads(regular_file(path).read_text(encoding="utf-8"))
        return GenerationReport(**content | {"scores": build(Scores, content["scores"])})
    # A ValueError is text that is no UTF-8, no JSON, or a number that is missing.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path}: not a report of `textok evaluate generation` ({error!r})"
        ) from error


def _class_accuracy(found: ClassAccuracy) -> list[str]:
    return [
        f"The class among {found.classes}, by a linear probe of {found.training_images} images.",
        "",
        *markdown_table(
            ["pictures", "accuracy ↑"],
            [
                ["drawn", _interval(found.drawn, 3)],
                ["real held-out images (ceiling)", _interval(found.real, 3)],
                ["chance (floor)", f"{found.chance:.3f}"],
                ["position of drawn", _position(found.position)],
            ],
        ),
    ]


def _alignment(found: Alignment) -> list[str]:
    def row(name: str, retrieval: Retrieval) -> list[str]:
        return [name, _interval(retrieval.at_1, 3), _interval(retrieval.at_5, 3)]

    return [
        f"The caption among {found.candidates}, by a linear probe of {found.training_pairs} pairs.",
        "",
        *markdown_table(
            ["pictures", "retrieval@1 ↑", "retrieval@5 ↑"],
            [
                row("drawn", found.drawn),
                row("real images (ceiling)", found.real),
                row("drawn, another's caption (floor)", found.shuffled),
                ["position of drawn", _position(found.position_1), _position(found.position_5)],
            ],
        ),
    ]


def _memorisation(found: Memorisation) -> list[str]:
    values = {"drawn": found.drawn, "real held-out images": found.real}
    rows = [[name, *(f"{value:.4f}" for value in row.values())] for name, row in values.items()]
    return [
        f"Cosine distance to the nearest of {found.training_images} training images, quantiles.",
        "",
        *markdown_table(["pictures", *found.drawn], rows),
        "",
        f"{100 * found.closer:.1f} % of the drawn pictures are nearer than all but 1 % of the real "
        "ones.",
    ]


def _interval(value: Interval, digits: int) -> str:
    return f"{value.mean:.{digits}f} ({value.low:.{digits}f}–{value.high:.{digits}f})"


def _position(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
