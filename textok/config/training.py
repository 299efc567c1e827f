"""All settings of a tokenizer's training, and of a VQGAN's."""

from __future__ import annotations

from dataclasses import dataclass, field

from textok.config.check import require
from textok.config.data import DataConfig, TextConfig
from textok.config.lora import LoraConfig
from textok.config.losses import LossConfig
from textok.config.optim import OptimConfig
from textok.config.run import RunConfig
from textok.config.tokenizer import TokenizerConfig
from textok.config.vqgan import VQGANConfig

INIT_TRAINING_STATE = "init_training_state: name the trained model in init"
NO_SHARD = "run.shard is for generators: the networks of tokenizers fit on each GPU, leave it out"


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerConfig:
    """All of ``textok train tokenizer``."""

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    text: TextConfig = field(default_factory=TextConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    init: str = ""
    """Tokenizer folder or hub name to start from (another image size interpolates positions)."""
    init_training_state: bool = False
    """Also go on with the discriminator and the optimiser states that ``init`` was published with
    (``run.publish_training_state``), as far as they fit."""
    vqgan_path: str = ""
    """VQGAN folder or hub name whose decoder a new ``output: codes`` starts with, and whose codes
    ``loss.codes`` asks for."""
    freeze_encoder: bool = False
    """Leave encoder, bottleneck and latent queries as ``init`` has them (stage 2)."""
    freeze_decoder: bool = False
    """Leave the decoder, a VQGAN's too, as ``init`` has it."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Train adapters in the decoder, and nothing else."""

    def __post_init__(self) -> None:
        by_codes = self.tokenizer.output == "codes"
        require(not self.run.shard, NO_SHARD)
        require(not self.init_training_state or self.init != "", INIT_TRAINING_STATE)
        require(
            by_codes or self.loss.codes == 0,
            "loss.codes is above 0 but tokenizer.output is 'pixels': set it to 'codes'",
        )
        self._check_frozen()
        require(
            not by_codes or self.vqgan_path != "" or (self.init != "" and self.loss.codes == 0),
            "vqgan_path is empty: name the VQGAN whose codes the decoder learns",
        )
        alignment = self.loss.alignment
        if alignment.weight > 0:
            alignment.block_of(self.tokenizer.decoder.depth)
        self.loss.distillation.check(
            self.tokenizer,
            init=self.init,
            encoder_frozen=self.freeze_encoder or self.lora.on,
        )
        require(
            not (self.loss.distillation.on and alignment.weight > 0),
            "loss.alignment compares with the training image, which a distilled decoder does not "
            "sample: set loss.alignment.weight or loss.distillation.steps to 0",
        )
        if self.tokenizer.decoding == "flow":
            require(
                self.loss.frechet.weight == 0,
                "loss.frechet.weight is above 0 but tokenizer.decoding is 'flow': training makes "
                "no finished images, set it to 0",
            )
            require(
                self.loss.gan.weight == 0,
                "loss.gan.weight is above 0 but tokenizer.decoding is 'flow': a decoder that "
                "samples needs no discriminator, set it to 0",
            )
            require(self.loss.l2 > 0, "loss.l2 is 0: in flow decoding it weighs the velocity")
        if self.tokenizer.text != "none":
            require(
                self.text.out_tokens <= self.tokenizer.text_tokens,
                f"text gives up to {self.text.out_tokens} tokens a caption but "
                f"tokenizer.text_tokens is {self.tokenizer.text_tokens}: raise the latter",
            )

    def unlearnt(self) -> list[str]:
        """A line for each guidance of the decoder away from what every training image has."""
        shape = self.tokenizer
        if shape.decoding != "flow" or self.init:
            return []
        flow, sampling = shape.flow, shape.sampling
        lacking = {
            "caption_guidance": (sampling.caption_guidance, self.text.drop + flow.drop_text),
            "token_guidance": (sampling.token_guidance, flow.drop_tokens + shape.nested),
        }
        shares = {
            "caption_guidance": "text.drop and tokenizer.flow.drop_text are 0",
            "token_guidance": "tokenizer.flow.drop_tokens is 0",
        }
        return [
            f"{shares[name]}: what tokenizer.sampling.{name} leads away from is never learnt; "
            f"raise one, or set tokenizer.sampling.{name} to 1"
            for name, (scale, share) in lacking.items()
            if scale != 1 and share == 0
        ]

    def _check_frozen(self) -> None:
        """Raise ValueError where what is frozen was not trained, or has to have gradients."""
        frozen = {
            "freeze_encoder": self.freeze_encoder,
            "freeze_decoder": self.freeze_decoder,
        }
        for name, on in frozen.items():
            require(not on or self.init != "", f"{name}: name a trained tokenizer in init")
        require(
            not all(frozen.values()), "freeze_encoder and freeze_decoder leave nothing to train"
        )
        self.lora.check(self.init, self.run)
        require(
            not (self.lora.on and self.freeze_decoder),
            "freeze_decoder leaves no decoder to adapt: set it to false, or lora.rank to 0",
        )
        alignment, gan = self.loss.alignment, self.loss.gan
        adapters = "lora.rank above 0"
        for on, by in ((self.freeze_encoder, "freeze_encoder"), (self.lora.on, adapters)):
            require(
                not (on and alignment.weight > 0 and alignment.adaptive),
                "loss.alignment.adaptive compares gradients at the encoder's last layer, which "
                f"{by} leaves as it is: set one of them to {'false' if by != adapters else '0'}",
            )
        for on, by in ((self.freeze_decoder, "freeze_decoder"), (self.lora.on, adapters)):
            require(
                not (on and gan.weight > 0 and gan.adaptive),
                "loss.gan.adaptive compares gradients at the decoder's last layer, which "
                f"{by} leaves as it is: set loss.gan.adaptive to false",
            )


@dataclass(frozen=True, kw_only=True)
class TrainVQGANConfig:
    """All of ``textok train vqgan``."""

    vqgan: VQGANConfig = field(default_factory=VQGANConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    init: str = ""
    """VQGAN folder or hub name to start from."""
    init_training_state: bool = False
    """Also go on with the discriminator and the optimiser states that ``init`` was published with
    (``run.publish_training_state``), as far as they fit."""

    def __post_init__(self) -> None:
        require(not self.run.shard, NO_SHARD)
        require(not self.init_training_state or self.init != "", INIT_TRAINING_STATE)
        require(
            self.loss.pixels,
            "loss: l2, l1, perceptual and logits are all 0: a VQGAN decodes pixels",
        )
        require(self.loss.codes == 0, "loss.codes is for tokenizers: set it to 0")
        require(
            self.loss.alignment.weight == 0,
            "loss.alignment is for tokenizers: set loss.alignment.weight to 0",
        )
        require(
            self.loss.frechet.weight == 0,
            "loss.frechet is for tokenizers: set loss.frechet.weight to 0",
        )
        require(
            not self.loss.distillation.on,
            "loss.distillation is for tokenizers: set loss.distillation.steps to 0",
        )
        require(
            not (self.run.compile and self.loss.gan.adaptive),
            "run.compile compiles a VQGAN whole, while loss.gan.adaptive wants the gradient of its "
            "last layer alone: set one of them to false",
        )
        require(
            not self.run.grad_checkpointing,
            "run.grad_checkpointing is for transformers: a VQGAN has none; raise run.accumulate",
        )
