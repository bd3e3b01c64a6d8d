// IEEE 754 half precision, one number at a time. The vector kernels have instructions for it.
#pragma once

#include <cstdint>
#include <cstring>

namespace chatglm {

inline float half_to_float(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
    uint32_t magnitude = half & 0x7fff;
    float value;
    if (magnitude < 0x0400) {  // zero or subnormal: a multiple of 2^-24
        value = static_cast<float>(magnitude) * 5.9604644775390625e-8f;
    } else {
        // the exponents differ by 112; infinities and NaNs keep the highest one
        magnitude = (magnitude << 13) + ((magnitude >= 0x7c00 ? 224u : 112u) << 23);
        std::memcpy(&value, &magnitude, sizeof value);
    }
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// Rounds to nearest, ties to even; too large becomes infinite.
inline uint16_t float_to_half(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
    if (bits >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
    if (bits < 0x38800000) {  // subnormal: adding 0.5 puts the bits that count at the end of the significand
        float magnitude;
        std::memcpy(&magnitude, &bits, sizeof magnitude);
        magnitude += 0.5f;
        std::memcpy(&bits, &magnitude, sizeof bits);
        return static_cast<uint16_t>(sign | (bits - 0x3f000000));
    }
    const uint32_t odd = bits >> 13 & 1;
    return static_cast<uint16_t>(sign | ((bits - 0x38000000 + 0xfff + odd) >> 13));
}

}  // namespace chatglm
