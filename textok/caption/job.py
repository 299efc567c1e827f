"""Captioning a data set: ask for what is missing, write down what comes, stop when told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from PIL import Image

from textok.caption.answer import Answer, Captioner, Failure, Stopped, judge
from textok.caption.pool import Pool
from textok.caption.store import CaptionStore, Line, agree
from textok.caption.summary import Summary
from textok.config.caption import (
    BudgetConfig,
    CaptionConfig,
    EndpointConfig,
    LocalConfig,
    ShardConfig,
)
from textok.config.check import require
from textok.config.data import DataConfig
from textok.data import Record, open_captioned_images
from textok.data.mixture import parse_mixture
from textok.data.pixels import BadImageError, decode
from textok.runtime.counter import counter
from textok.runtime.stop import StopRequest

LEAST_ROW = 20
"""So many images in a row without any answer (twice the concurrency, if more) end a run."""

Lacking = list[tuple[Record, int]]
"""Images, and how many captions each lacks."""


def caption_images(
    data: DataConfig,
    out: Path,
    config: CaptionConfig,
    *,
    via: EndpointConfig | LocalConfig,
    budget: BudgetConfig | None = None,
    shard: ShardConfig | None = None,
    retry_failed: bool = False,
) -> Summary:
    """Write captions of the images of ``data`` into ``out``, or go on with that.

    They lie in ``out``, or in its sub-folder ``data.split`` where the data has that one.

    Raises:
        ValueError: data, model or endpoint cannot be used, or ``out`` has captions made otherwise.
    """
    require(
        not parse_mixture(data.path),
        f"{data.path} is a mixture: caption each of its sets by itself",
    )
    images = open_captioned_images(replace(data, max_bad_share=1), image_size=config.image_size)
    path = Path(data.path).expanduser()
    in_split = bool(data.split) and (path / data.split).is_dir()
    stopping = threading.Event()
    captioner = _open(config, via, stopping)
    agree(
        out,
        {
            "data": path.resolve().name,
            "model": config.model,
            "prompt": config.words,
            "image_size": config.image_size,
            "temperature": config.temperature,
        },
    )
    folder = out / data.split if in_split else out
    with CaptionStore(folder, shard or ShardConfig()) as store, StopRequest() as stop:
        job = _Job(
            config=config,
            captioner=captioner,
            store=store,
            budget=budget or BudgetConfig(),
            stop=stop,
            stopping=stopping,
        )
        records = [record for record in images.records if store.shard.has(record.key)]
        return job.run(records, missing=len(images.report.missing), retry_failed=retry_failed)


def _open(
    config: CaptionConfig, via: EndpointConfig | LocalConfig, stopping: threading.Event
) -> Captioner:
    if isinstance(via, EndpointConfig):
        from textok.caption.endpoint import Endpoint

        return Endpoint(config, via, stopping)
    from textok.caption.local import LocalModel

    return LocalModel(config, via)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One run, from what is missing to what came of it."""

    config: CaptionConfig
    captioner: Captioner
    store: CaptionStore
    budget: BudgetConfig
    stop: StopRequest
    stopping: threading.Event
    """Set when threads are to give up waiting."""

    def run(self, records: list[Record], *, missing: int, retry_failed: bool) -> Summary:
        known = self.store.known
        lacking = [(r, self.config.captions_per_image - known.captions[r.key]) for r in records]
        skipped = {r.key for r in records if r.key in known.failed and not retry_failed}
        wanted = [(r, count) for r, count in lacking if count > 0 and r.key not in skipped]
        summary = Summary(
            path=self.store.path,
            images=len(records),
            missing=missing,
            before=len(records) - len(wanted),
            old_failures=sum(count > 0 and r.key in skipped for r, count in lacking),
        )
        pool = Pool(self._caption, threads=self.captioner.threads)
        groups = self._groups(wanted, pool, summary)
        with counter(
            "captioning", total=summary.images, done=summary.before, note=self._note
        ) as count:
            for lines in pool.results(groups, idle=self._look_for_a_stop):
                for line in lines:
                    self.store.append(line)
                    summary.add(line)
                    self._check_row(summary)
                count(len(lines))
        summary.signum = self.stop.signum
        summary.cost = self._cost() if self.budget.priced else None
        return summary

    def _groups(
        self, wanted: Lacking, pool: Pool[Lacking, list[Line]], summary: Summary
    ) -> Iterator[Lacking]:
        """What to ask for in one call each, until a signal comes or a budget is used up."""
        limit = self.budget.max_images
        left = iter(wanted if limit is None else wanted[:limit])
        while group := list(islice(left, self.captioner.at_once)):
            if self.stop.signum:
                return
            known = self.store.known
            mean = self._cost() / max(1, known.attempts)
            expected = self._cost() + mean * self.captioner.at_once * (pool.busy + 1)
            if self.budget.max_cost is not None and expected > self.budget.max_cost:
                summary.stopped = f"--max-cost {self.budget.max_cost:g} is reached"
                return
            yield group
        if limit is not None and limit < len(wanted):
            summary.stopped = f"--max-images {limit} is reached"

    def _caption(self, group: Lacking) -> list[Line]:
        """Ask for the captions that a few images lack; none of them where a stop came before."""
        pictures = [_picture(record, self.config.image_size) for record, _ in group]
        readable = [
            picture
            for picture, (_, count) in zip(pictures, group, strict=True)
            if isinstance(picture, Image.Image)
            for _ in range(count)
        ]
        try:
            answers = iter(self.captioner(readable))
        except Stopped:
            return []
        return [
            self._line(record.key, [picture])
            if isinstance(picture, Failure)
            else self._line(record.key, list(islice(answers, count)))
            for picture, (record, count) in zip(pictures, group, strict=True)
        ]

    def _line(self, key: str, answers: Sequence[Answer | Failure]) -> Line:
        given = [answer for answer in answers if isinstance(answer, Answer)]
        unknown = any(answer.tokens_in is None or answer.tokens_out is None for answer in given)
        require(
            self.budget.max_cost is None or not unknown,
            f"{self.config.model} does not say how many tokens it took: use --max-images, which "
            "needs no count, instead of --max-cost",
        )
        judged = [
            judge(answer, max_words=self.config.max_words) if isinstance(answer, Answer) else answer
            for answer in answers
        ]
        return Line(
            key=key,
            captions=[caption for caption in judged if isinstance(caption, str)],
            failures=[failure for failure in judged if isinstance(failure, Failure)],
            model=self.config.model,
            tokens_in=sum(answer.tokens_in or 0 for answer in given),
            tokens_out=sum(answer.tokens_out or 0 for answer in given),
        )

    def _check_row(self, summary: Summary) -> None:
        """Raises ValueError where the server has failed so often that it will go on so."""
        most = max(LEAST_ROW, 2 * self.captioner.threads)
        require(
            summary.in_a_row < most,
            f"the last {most} images failed ({summary.last_failure}): stopped, all is kept in "
            f"{self.store.path}; --retry-failed asks for them again",
        )

    def _cost(self) -> float:
        return self.budget.cost(self.store.known.tokens_in, self.store.known.tokens_out)

    def _note(self) -> str:
        return f"{self._cost():.2f} spent" if self.budget.priced else ""

    def _look_for_a_stop(self) -> None:
        if self.stop.signum:
            self.stopping.set()


def _picture(record: Record, size: int) -> Image.Image | Failure:
    """The whole image, its longer side at most ``size``."""
    try:
        picture = decode(record.read_bytes(), size=size)
    except (BadImageError, OSError) as error:
        return Failure(kind="bad image", reason=str(error))
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    return picture
