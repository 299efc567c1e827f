"""Captions from a transformers model in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from textok.caption.answer import Answer, Failure
from textok.config.caption import CaptionConfig, LocalConfig
from textok.config.check import require
from textok.runtime.device import pick_device


class LocalModel:
    """A vision-language model with a chat template; one call at a time, of several images."""

    threads = 1

    def __init__(self, captions: CaptionConfig, config: LocalConfig) -> None:
        self.at_once = config.batch_size
        self._captions = captions
        self._processor, self._model = _load(captions.model, pick_device(config.device))
        template = getattr(self._processor, "chat_template", None)
        require(
            bool(template), f"--model {captions.model} has no chat template: it takes no prompt"
        )
        # Answers start where the longest prompt ends.
        self._processor.tokenizer.padding_side = "left"

    @torch.no_grad()
    def __call__(self, pictures: Sequence[Image.Image]) -> list[Answer | Failure]:
        answers: list[Answer | Failure] = []
        for start in range(0, len(pictures), self.at_once):
            answers += self._batch(pictures[start : start + self.at_once])
        return answers

    def _batch(self, pictures: Sequence[Image.Image]) -> list[Answer]:
        inputs = self._processor.apply_chat_template(
            [[self._message(picture)] for picture in pictures],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            processor_kwargs={"padding": True, "return_tensors": "pt"},
        ).to(self._model.device, dtype=self._model.dtype)
        try:
            output = self._model.generate(
                **inputs, max_new_tokens=self._captions.max_tokens, **self._sampling()
            )
        except torch.OutOfMemoryError:
            raise ValueError(
                f"{self._model.device} has no memory for {len(pictures)} captions at once: choose "
                "a smaller --batch-size or --image-size"
            ) from None
        new_BT = output[:, inputs["input_ids"].shape[1] :]
        texts = self._processor.batch_decode(new_BT, skip_special_tokens=True)
        prompt_B = inputs["attention_mask"].sum(dim=1).tolist()
        ended_BT = torch.isin(new_BT, self._ends(new_BT.device))
        return [
            Answer(
                text=text,
                tokens_in=tokens_in,
                tokens_out=_length(ended_T.tolist()),
                cut=not bool(ended_T.any()),
            )
            for text, tokens_in, ended_T in zip(texts, prompt_B, ended_BT, strict=True)
        ]

    def _message(self, picture: Image.Image) -> dict[str, Any]:
        content = [
            {"type": "image", "image": picture},
            {"type": "text", "text": self._captions.words},
        ]
        return {"role": "user", "content": content}

    def _sampling(self) -> dict[str, Any]:
        match self._captions.temperature:
            case None:
                return {}
            case 0:
                return {"do_sample": False}
            case temperature:
                return {"do_sample": True, "temperature": temperature}

    def _ends(self, device: torch.device) -> torch.Tensor:
        """The ids that end an answer."""
        ends = self._model.generation_config.eos_token_id
        return torch.as_tensor([] if ends is None else ends, device=device)


def _length(ended: list[bool]) -> int:
    """Tokens up to the first that ends the answer, which counts."""
    return ended.index(True) + 1 if True in ended else len(ended)


def _load(name: str, device: str) -> tuple[Any, Any]:
    """Processor and model. Raises ValueError, one line, for what cannot be loaded."""
    import transformers

    try:
        processor = transformers.AutoProcessor.from_pretrained(name)
        model: Any = transformers.AutoModelForImageTextToText.from_pretrained(name, dtype="auto")
    # What foreign readers raise about a foreign model has no common type.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"--model {name} cannot be loaded as a vision-language model ({reason}): give a folder "
            "or hub name, or --endpoint where it is served"
        ) from None
    return processor, model.to(device).eval()
