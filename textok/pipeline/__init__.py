"""Pictures and captions in, pictures out."""

from textok.data.class_captions import ClassCaptions
from textok.pipeline.files import generate_files
from textok.pipeline.folder import PipelineParts, load_pipeline, save_pipeline
from textok.pipeline.reconstructor import Reconstructor, decoding_seeds
from textok.pipeline.text_to_image import TextToImage
from textok.pipeline.wanted import Wanted

__all__ = [
    "ClassCaptions",
    "PipelineParts",
    "Reconstructor",
    "TextToImage",
    "Wanted",
    "decoding_seeds",
    "generate_files",
    "load_pipeline",
    "save_pipeline",
]
