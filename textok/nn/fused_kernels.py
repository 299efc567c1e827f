"""The kernels of ``textok.nn.fused``; the only module that imports Triton."""

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def adaptive(  # type: ignore[no-untyped-def]
    x,
    y,
    gate,
    shift,
    scale,
    total,
    out,
    tokens,
    gate_step,
    shift_step,
    scale_step,
    eps,
    GATED: tl.constexpr,
    NORM: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A program for each token: x + gate * y, then norm(.) * (1 + scale) + shift."""
    row = tl.program_id(0).to(tl.int64)
    image = row // tokens
    at = tl.arange(0, BLOCK)
    inside = at < WIDTH
    value = tl.load(x + row * WIDTH + at, mask=inside, other=0.0).to(tl.float32)
    if GATED:
        added = tl.load(y + row * WIDTH + at, mask=inside, other=0.0).to(tl.float32)
        by = tl.load(gate + image * gate_step + at, mask=inside, other=0.0).to(tl.float32)
        value += by * added
        tl.store(total + row * WIDTH + at, value.to(total.dtype.element_ty), mask=inside)
    if NORM:
        mean = tl.sum(value, axis=0) / WIDTH
        centred = tl.where(inside, value - mean, 0.0)
        variance = tl.sum(centred * centred, axis=0) / WIDTH
        normed = centred * (1 / tl.sqrt(variance + eps))
        by = tl.load(scale + image * scale_step + at, mask=inside, other=0.0).to(tl.float32)
        to = tl.load(shift + image * shift_step + at, mask=inside, other=0.0).to(tl.float32)
        moved = normed * (1 + by) + to
        tl.store(out + row * WIDTH + at, moved.to(out.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def norm_heads(  # type: ignore[no-untyped-def]
    q,
    k,
    q_weight,
    k_weight,
    out,
    length,
    image_step,
    head_step,
    place_step,
    places,
    eps,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A program for each position of queries and of keys: all of its heads."""
    place = tl.program_id(0).to(tl.int64)
    of_keys = tl.program_id(1)
    image, token = place // length, place % length
    heads, at = tl.arange(0, ROWS)[:, None], tl.arange(0, BLOCK)[None, :]
    inside = (heads < HEADS) & (at < WIDTH)
    here = image * image_step + token * place_step + heads * head_step + at
    if of_keys == 0:
        value = tl.load(q + here, mask=inside, other=0.0).to(tl.float32)
        weight = tl.load(q_weight + at, mask=at < WIDTH, other=0.0).to(tl.float32)
    else:
        value = tl.load(k + here, mask=inside, other=0.0).to(tl.float32)
        weight = tl.load(k_weight + at, mask=at < WIDTH, other=0.0).to(tl.float32)
    square = tl.sum(value * value, axis=1) / WIDTH
    normed = value * (1 / tl.sqrt(square + eps))[:, None] * weight
    there = ((of_keys * places + place) * HEADS + heads) * WIDTH + at
    tl.store(out + there, normed.to(out.dtype.element_ty), mask=inside)
