"""Images and captions in, images out."""

from textok.data.class_captions import ClassCaptions
from textok.pipeline.files import generate_files
from textok.pipeline.folder import PipelineParts, load_pipeline, save_pipeline
from textok.pipeline.image_request import ImageRequest
from textok.pipeline.reconstructor import Reconstructor, decoding_seeds
from textok.pipeline.text_to_image import TextToImage

__all__ = [
    "ClassCaptions",
    "ImageRequest",
    "PipelineParts",
    "Reconstructor",
    "TextToImage",
    "decoding_seeds",
    "generate_files",
    "load_pipeline",
    "save_pipeline",
]
