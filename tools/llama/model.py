#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write a small Llama model with random weights, as a GGUF file.

    model.py FILE [SEED]

The weights are what a seed of Python's random numbers gives, so a file can be made again
anywhere. A trained model's weights are not wanted here: they would have to be fetched, and the
question is only whether two back ends compute the same.

Each matrix keeps the size of what passes through it (variance 1 / inputs), so that each layer
has its part in the result, and rounding is not amplified from layer to layer. The last one makes
the logits spread as widely as a trained model's. Every block of quantised weights has a scale of
its own, so that a kernel which takes another block's scale is noticed.
"""
import math
import random
import struct
import sys

LAYERS = 2
EMBED = 256             # a K-quant's block is 256 weights
FORWARD = 768
HEADS = 4
HEADS_KV = 2            # so that heads share keys and values, as in Llama 3
VOCAB = 128
CONTEXT = 256
LOGIT_SPREAD = 8.0      # standard deviation of the logits

ALIGNMENT = 32          # bytes, of each tensor's data; GGUF's default

# ggml's numbers of the tensors' types, with weights and bytes of a block
F32 = (0, 1, 4)
Q8_0 = (8, 32, 34)
Q4_K = (12, 256, 144)
Q6_K = (14, 256, 210)


def half(value):
    return struct.pack("<e", value)


def f32(rng, count, scale):
    """Around `scale`, as weights of a norm are."""
    return struct.pack(f"<{count}f", *(scale * rng.uniform(0.5, 1.5) for _ in range(count)))


def q8_0(rng, count, scale):
    """w = d * q; q is an int8, here of any value, whose standard deviation is 73.9."""
    return b"".join(half(scale / 73.9 * rng.uniform(0.7, 1.3)) + rng.randbytes(32)
                    for _ in range(count // 32))


def pack_q4_k_scales(scales, mins):
    """Eight scales and eight minima of 6 bits, in 12 bytes."""
    low = [s & 63 | (scales[i + 4] >> 4) << 6 for i, s in enumerate(scales[:4])]
    mid = [m & 63 | (mins[i + 4] >> 4) << 6 for i, m in enumerate(mins[:4])]
    high = [s & 15 | (m & 15) << 4 for s, m in zip(scales[4:], mins[4:])]
    return bytes(low + mid + high)


def q4_k(rng, count, scale):
    """w = d * s * q - dmin * m, q of 4 bits; here dmin * m = 7.5 * d * s, so the mean is 0.

    q - 7.5 has the standard deviation 4.61; s is 40 in the mean."""
    out = []
    for _ in range(count // 256):
        d = scale / (4.61 * 40)
        scales = [rng.randint(20, 60) for _ in range(8)]
        out.append(half(d) + half(7.5 * d) + pack_q4_k_scales(scales, scales) +
                   rng.randbytes(128))
    return b"".join(out)


def q6_k(rng, count, scale):
    """w = d * s * (q - 32), q of 6 bits with the standard deviation 18.5, s an int8."""
    out = []
    for _ in range(count // 256):
        scales = [rng.choice((-1, 1)) * rng.randint(40, 120) for _ in range(16)]
        out.append(rng.randbytes(128) + rng.randbytes(64) + struct.pack("<16b", *scales) +
                   half(scale / (18.5 * 83)))
    return b"".join(out)


WRITERS = {F32: f32, Q8_0: q8_0, Q4_K: q4_k, Q6_K: q6_k}


def tensors():
    """(name, dimensions with the one that lies together first, type, scale) of each."""
    def matrix(name, inputs, outputs, kind, gain=1.0):
        return (name + ".weight", (inputs, outputs), kind, gain / math.sqrt(inputs))

    def norm(name):
        return (name + ".weight", (EMBED,), F32, 1.0)

    width_kv = EMBED // HEADS * HEADS_KV
    # an embedding is looked up, not multiplied: each weight is as large as an activation
    yield ("token_embd.weight", (EMBED, VOCAB), Q8_0, 1.0)
    yield norm("output_norm")
    yield matrix("output", EMBED, VOCAB, Q6_K, LOGIT_SPREAD)
    for layer in range(LAYERS):
        b = f"blk.{layer}."
        yield norm(b + "attn_norm")
        yield matrix(b + "attn_q", EMBED, EMBED, Q4_K)
        yield matrix(b + "attn_k", EMBED, width_kv, Q4_K)
        yield matrix(b + "attn_v", EMBED, width_kv, Q6_K)
        yield matrix(b + "attn_output", EMBED, EMBED, Q8_0)
        yield norm(b + "ffn_norm")
        yield matrix(b + "ffn_gate", EMBED, FORWARD, Q4_K)
        yield matrix(b + "ffn_up", EMBED, FORWARD, Q4_K)
        yield matrix(b + "ffn_down", FORWARD, EMBED, Q6_K)


def metadata():
    """(key, type, value): GGUF's types 4 (uint32), 6 (float32) and 8 (string)."""
    yield ("general.architecture", 8, "llama")
    yield ("general.name", 8, "random weights")
    yield ("general.alignment", 4, ALIGNMENT)
    for key, value in (("context_length", CONTEXT), ("embedding_length", EMBED),
                       ("block_count", LAYERS), ("feed_forward_length", FORWARD),
                       ("attention.head_count", HEADS), ("attention.head_count_kv", HEADS_KV),
                       ("rope.dimension_count", EMBED // HEADS), ("vocab_size", VOCAB)):
        yield ("llama." + key, 4, value)
    yield ("llama.attention.layer_norm_rms_epsilon", 6, 1e-5)
    yield ("llama.rope.freq_base", 6, 10000.0)
    # Tokens are numbers here, so no text has to be cut into them.
    yield ("tokenizer.ggml.model", 8, "no_vocab")


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, value):
    packed = {4: lambda: struct.pack("<I", value), 6: lambda: struct.pack("<f", value),
              8: lambda: string(value)}[kind]()
    return string(key) + struct.pack("<I", kind) + packed


def build(seed):
    """The whole file, as bytes."""
    rng = random.Random(seed)
    infos, data = [], b""
    for name, shape, kind, scale in tensors():
        number, block, size = kind
        count = math.prod(shape)
        body = WRITERS[kind](rng, count, scale)
        assert shape[0] % block == 0 and len(body) == count // block * size, name
        infos.append(string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape,
                                                number, len(data)))
        data += body + bytes(-len(body) % ALIGNMENT)
    pairs = [pair(*p) for p in metadata()]
    head = (b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(pairs)) +
            b"".join(pairs) + b"".join(infos))
    return head + bytes(-len(head) % ALIGNMENT) + data


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: model.py FILE [SEED]")
    with open(sys.argv[1], "wb") as out:
        out.write(build(int(sys.argv[2]) if len(sys.argv) == 3 else 1))


if __name__ == "__main__":
    main()
