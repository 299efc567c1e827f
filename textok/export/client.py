"""An exported model without torch: the reference of every other client.

Needs numpy, onnxruntime and, for captions, tokenizers; nothing of textok. The page of
``textok export web`` does the same in JavaScript.

Legend: B batch, K latent tokens, C channels, N patches, P numbers a patch, t ids of a caption,
T text states, D their width.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Client:
    """The graphs of a folder that ``textok export onnx`` wrote."""

    def __init__(self, folder: str | Path, *, threads: int = 0) -> None:
        self.folder, self.threads = Path(folder), threads
        self.manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        self.session = lru_cache(maxsize=None)(self._session)
        self._vocabulary = lru_cache(maxsize=None)(self._open_vocabulary)

    def encode(self, image_B3HW: Array, captions: Sequence[str] = ()) -> dict[str, Array]:
        """``tokens`` of images in [-1, 1], and ``logvar`` or ``codes`` where there are.

        Raises ValueError for captions that are not one for each image, here as below.
        """
        text = self._read("encoder", captions, len(image_B3HW))
        return self.run("encoder", image=image_B3HW, **text)

    def decode(
        self,
        tokens_BKC: Array,
        captions: Sequence[str] = (),
        pixel_noise_BNP: Array | None = None,
    ) -> Array:
        """Images (B, 3, H, W), not clamped.

        A decoder that samples needs standard-normal noise, N patches of P numbers for each image.
        Raises ValueError without it.
        """
        known = self.manifest["graphs"]["decoder"]["inputs"]
        if "noise" in known and pixel_noise_BNP is None:
            shape = ", ".join(map(str, known["noise"]["shape"]))
            raise ValueError(f"the decoder samples: it needs pixel_noise_BNP ({shape}), normal")
        text = self._read("decoder", captions, len(tokens_BKC))
        noise = {} if pixel_noise_BNP is None else {"noise": pixel_noise_BNP}
        return self.run("decoder", tokens=tokens_BKC, **noise, **text)["image"]

    def draw(
        self,
        noise_BKC: Array,
        asked: Sequence[str],
        captions: Sequence[str] | None = None,
        pixel_noise_BNP: Array | None = None,
    ) -> Array:
        """Images for prompts, or names of classes, from standard-normal noise.

        The decoder reads ``captions``, without them the prompts; "" asks for nothing. One that
        samples has noise of its own, as ``decode`` takes it.
        """
        latents = self.manifest["latents"]
        tokens = self.sample(noise_BKC, asked) * np.float32(latents["std"])
        if captions is None:
            captions = () if self.manifest["classes"] else asked
        return self.decode(tokens + np.float32(latents["mean"]), captions, pixel_noise_BNP)

    def sample(self, noise_BKC: Array, asked: Sequence[str]) -> Array:
        """Tokens (B, K, C) on the generator's scale."""
        channels = noise_BKC.shape[-1]
        wanted = self.condition(_one_each(asked, len(noise_BKC)))
        both = {name: np.concatenate([one, _nothing(name, one)]) for name, one in wanted.items()}
        x, before = noise_BKC.astype(np.float32), np.zeros_like(noise_BKC, np.float32)
        for row in self.manifest["sampling"]["evaluations"]:
            guided = row["guidance"] != 1
            rows = np.concatenate([x, x]) if guided else x
            time = np.full(len(rows), row["time"], np.float32)
            asked_for = both if guided else wanted
            more = {key: np.full_like(time, value) for key, value in row.get("inputs", {}).items()}
            given = self.run("generator", tokens=rows, time=time, **asked_for, **more)
            output = given["output"][..., :channels]
            if guided:
                positive, other = np.split(output, 2)
                output = other + np.float32(row["guidance"]) * (positive - other)
            prediction = (
                np.float32(row["from_tokens"]) * x + np.float32(row["from_output"]) * output
            )
            x = (
                np.float32(row["keep"]) * x
                + np.float32(row["now"]) * prediction
                + np.float32(row["before"]) * before
            )
            before = prediction
        return x

    def condition(self, asked: Sequence[str]) -> dict[str, Array]:
        """The generator's inputs for prompts or names of classes."""
        classes = self.manifest["classes"]
        if classes:
            numbers = [classes.index(name) if name else -1 for name in asked]
            return {"labels": np.array(numbers, np.int64)}
        return self.features(self.manifest["readers"]["generator"], asked)

    def features(self, name: str, captions: Sequence[str]) -> dict[str, Array]:
        """States (B, T, D) and mask (B, T) of captions by the text encoder ``name``."""
        about = self.manifest["texts"][name]
        real = [row for row, caption in enumerate(captions) if caption.strip()]
        found = self.run(name, **self.ids(name, [captions[row] for row in real])) if real else None
        length = min(2, about["out_tokens"]) if found is None else found["text_mask"].shape[1]
        states = np.zeros((len(captions), length, about["width"]), np.float32)
        mask = np.zeros((len(captions), length), bool)
        if found is not None:
            states[real], mask[real] = found["text_states"], found["text_mask"]
        return {"text_states": states, "text_mask": mask}

    def ids(self, name: str, captions: Sequence[str]) -> dict[str, Array]:
        """Ids (B, t) of the vocabulary, 0 at padding, and which are real."""
        about, vocabulary = self.manifest["texts"][name], self._vocabulary(name)
        each = [vocabulary.encode(caption).ids for caption in captions]
        length = about["max_tokens"] if about["padding"] else max(2, *map(len, each))
        ids = np.zeros((len(each), length), np.int64)
        real = np.full(ids.shape, about["padding"])
        for row, one in enumerate(each):
            ids[row, : len(one)], real[row, : len(one)] = one, True
        return {"ids": ids, "real": real}

    def run(self, graph: str, **inputs: Array) -> dict[str, Array]:
        """The outputs of a graph, by name."""
        session = self.session(graph)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    def _read(self, graph: str, captions: Sequence[str], batch: int) -> dict[str, Array]:
        """The text inputs of a graph of the tokenizer, if it has any."""
        if "text_states" not in self.manifest["graphs"][graph]["inputs"]:
            return {}
        texts = _one_each(captions, batch) if captions else [""] * batch
        return self.features(self.manifest["readers"]["tokenizer"], texts)

    def _session(self, graph: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self.threads
        file = self.folder / self.manifest["graphs"][graph]["file"]
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def _open_vocabulary(self, name: str) -> Any:
        from tokenizers import Tokenizer

        about = self.manifest["texts"][name]
        vocabulary = Tokenizer.from_file(str(self.folder / about["vocabulary"]))
        vocabulary.no_padding()
        vocabulary.enable_truncation(about["max_tokens"])
        return vocabulary


def _one_each(texts: Sequence[str], batch: int) -> Sequence[str]:
    """Raises ValueError for a single text, whose letters would be taken for several."""
    if isinstance(texts, str) or len(texts) != batch:
        given = "a text" if isinstance(texts, str) else f"{len(texts)} texts"
        raise ValueError(f"{given} for a batch of {batch}: give a list, one text each")
    return texts


def _nothing(name: str, wanted: Array) -> Array:
    """The same input where nothing is asked for: no real token, or class -1."""
    return wanted if name == "text_states" else np.full_like(wanted, -1 if name == "labels" else 0)
