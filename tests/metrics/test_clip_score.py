from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn import functional

from textok.metrics.clip_score import load_clip_score

ENDS = {"bos_token_id": 1, "eos_token_id": 3}
WORDS = ["<pad>", "<start>", "<unk>", "<end>", "a", "red", "dog"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIP model of 8 px and 6 text tokens, as transformers saves it."""
    folder = tmp_path_factory.mktemp("clip")
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", eos_token="<end>"
    ).save_pretrained(folder)
    torch.manual_seed(3)
    size = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = transformers.CLIPConfig(
        text_config={**size, "vocab_size": 7, "max_position_embeddings": 6, **ENDS},
        vision_config={**size, "image_size": 8, "patch_size": 4},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


def test_score_is_the_cosine_in_hundredths(folder: Path) -> None:
    pictures = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    ids = [[1, 4, 6, 3], [1, 4, 5, 6, 3], [1, 5, 3]]
    cosines = []
    with torch.no_grad():
        for row, picture in zip(ids, pictures, strict=True):
            pixels = (((picture + 1) / 2 - mean) / std)[None]
            found = model(input_ids=torch.tensor([row]), pixel_values=pixels)
            cosines.append(functional.cosine_similarity(found.image_embeds, found.text_embeds))
    expected = 100 * torch.cat(cosines).clamp(min=0)
    scores = load_clip_score(folder).score(pictures, ["a dog", "a red dog", "red"])

    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-3)
    assert scores.max() > 0


def test_pictures_of_any_size_and_long_captions(folder: Path) -> None:
    clip = load_clip_score(folder)

    assert clip.name == str(folder)
    assert clip.score(torch.zeros(1, 3, 20, 20), ["a red dog " * 9]).shape == (1,)


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no CLIP model can be loaded there"):
        load_clip_score(tmp_path)
