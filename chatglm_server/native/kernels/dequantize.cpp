#include "kernels/dequantize.h"

#include <cstring>

#include "kernels/half.h"

namespace chatglm {
namespace {

// The values that the codes of IQ4_NL and IQ4_XS stand for.
constexpr int8_t kNonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

float read_half(const uint8_t *at) {
    uint16_t half;
    std::memcpy(&half, at, 2);
    return half_to_float(half);
}

// The code of column i of 32: a byte holds the columns j and j + 16.
int nibble(const uint8_t *bytes, int i) { return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4; }

// The six bits of the scale and the minimum of group j of 8, in the 12 bytes of Q4_K and Q5_K.
int scale_of(const uint8_t *s, int j) { return j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4; }
int minimum_of(const uint8_t *s, int j) { return j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4; }

// 32 columns that share a scale, of Q4_0, Q4_1, Q5_0, Q5_1.
void legacy(const uint8_t *block, bool has_fifth, bool has_minimum, float *out) {
    const float scale = read_half(block), minimum = has_minimum ? read_half(block + 2) : 0.0f;
    const uint8_t *at = block + (has_minimum ? 4 : 2);
    uint32_t fifth = 0;
    if (has_fifth) {
        std::memcpy(&fifth, at, 4);
        at += 4;
    }
    const int zero = has_minimum ? 0 : has_fifth ? 16 : 8;
    for (int i = 0; i < 32; ++i) {
        const int code = nibble(at, i) + (static_cast<int>(fifth >> i & 1) << 4);
        out[i] = scale * static_cast<float>(code - zero) + minimum;
    }
}

void q8_0(const uint8_t *block, float *out) {
    const float scale = read_half(block);
    for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

void iq4_nl(const uint8_t *block, float *out) {
    const float scale = read_half(block);
    for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(kNonlinear[nibble(block + 2, i)]);
}

void iq4_xs(const uint8_t *block, float *out) {
    const float scale = read_half(block);
    const int high = block[2] | block[3] << 8;
    for (int group = 0; group < 8; ++group) {
        const int low = block[4 + group / 2] >> (group % 2 * 4) & 15;
        const float step = scale * static_cast<float>((low | (high >> (2 * group) & 3) << 4) - 32);
        for (int i = 0; i < 32; ++i) {
            out[32 * group + i] = step * static_cast<float>(kNonlinear[nibble(block + 8 + 16 * group, i)]);
        }
    }
}

// Q4_K, and Q5_K, which has a fifth bit for each code.
void q45_k(const uint8_t *block, bool has_fifth, float *out) {
    const float scale = read_half(block), minimum = read_half(block + 2);
    const uint8_t *s = block + 4, *fifth = block + 16, *codes = block + (has_fifth ? 48 : 16);
    for (int group = 0; group < 8; ++group) {
        const float step = scale * static_cast<float>(scale_of(s, group));
        const float least = minimum * static_cast<float>(minimum_of(s, group));
        for (int i = 0; i < 32; ++i) {
            int code = codes[group / 2 * 32 + i] >> (group % 2 * 4) & 15;
            if (has_fifth) code += (fifth[i] >> group & 1) << 4;
            out[32 * group + i] = step * static_cast<float>(code) - least;
        }
    }
}

void q6_k(const uint8_t *block, float *out) {
    const float scale = read_half(block + 208);
    for (int column = 0; column < 256; ++column) {
        const int half = column / 128, quarter = column % 128 / 32, i = column % 32;
        const int low = block[64 * half + quarter % 2 * 32 + i] >> (quarter / 2 * 4) & 15;
        const int high = block[128 + 32 * half + i] >> (2 * quarter) & 3;
        const float step = scale * static_cast<float>(static_cast<int8_t>(block[192 + column / 16]));
        out[column] = step * static_cast<float>((low | high << 4) - 32);
    }
}

void q3_k(const uint8_t *block, float *out) {
    const float scale = read_half(block + 108);
    const uint8_t *codes = block + 32, *s = block + 96;
    for (int column = 0; column < 256; ++column) {
        const int group = column / 32, i = column % 32, part = column / 16;
        const int code = codes[group / 4 * 32 + i] >> (group % 4 * 2) & 3;
        const int third = block[i] >> group & 1;
        const int low = part < 8 ? s[part] & 15 : s[part - 8] >> 4;
        const int high = s[8 + part % 4] >> (part / 4 * 2) & 3;
        const float step = scale * static_cast<float>((low | high << 4) - 32);
        out[column] = step * static_cast<float>(code + 4 * third - 4);
    }
}

void q2_k(const uint8_t *block, float *out) {
    const float scale = read_half(block + 80), minimum = read_half(block + 82);
    for (int column = 0; column < 256; ++column) {
        const int group = column / 32, i = column % 32, s = block[column / 16];
        const int code = block[16 + group / 4 * 32 + i] >> (group % 4 * 2) & 3;
        out[column] =
            scale * static_cast<float>(s & 15) * static_cast<float>(code) - minimum * static_cast<float>(s >> 4);
    }
}

}  // namespace

void dequantize(Type type, const uint8_t *block, float *out) {
    switch (type) {
        case Type::F32: std::memcpy(out, block, sizeof(float)); break;
        case Type::F16: *out = read_half(block); break;
        case Type::BF16: {
            const uint32_t bits = static_cast<uint32_t>(block[0] | block[1] << 8) << 16;
            std::memcpy(out, &bits, sizeof bits);
            break;
        }
        case Type::Q4_0: legacy(block, false, false, out); break;
        case Type::Q4_1: legacy(block, false, true, out); break;
        case Type::Q5_0: legacy(block, true, false, out); break;
        case Type::Q5_1: legacy(block, true, true, out); break;
        case Type::Q8_0: q8_0(block, out); break;
        case Type::IQ4_NL: iq4_nl(block, out); break;
        case Type::IQ4_XS: iq4_xs(block, out); break;
        case Type::Q4_K: q45_k(block, false, out); break;
        case Type::Q5_K: q45_k(block, true, out); break;
        case Type::Q6_K: q6_k(block, out); break;
        case Type::Q3_K: q3_k(block, out); break;
        case Type::Q2_K: q2_k(block, out); break;
    }
}

}  // namespace chatglm
