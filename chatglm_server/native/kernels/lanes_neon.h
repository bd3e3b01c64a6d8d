// Sixteen lanes in four NEON registers, with the dot products of ARMv8.2.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace chatglm::neon {

constexpr int kTile = 4;         // tokens whose sums attention keeps in registers
constexpr int kProductTile = 4;  // tokens whose products are summed together

// 16 float lanes.
struct Floats {
    float32x4_t v[4];

    template <class F>
    static Floats each(F f) {
        return {{f(0), f(1), f(2), f(3)}};
    }
    static Floats zero() { return broadcast(0); }
    static Floats broadcast(float x) {
        return each([&](int) { return vdupq_n_f32(x); });
    }
    static Floats load(const float *p) {
        return each([&](int i) { return vld1q_f32(p + 4 * i); });
    }
    static Floats load_half(const uint16_t *p) {
        return each([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
    }
    static Floats load_bfloat(const uint16_t *p) {
        return each([&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); });
    }
    void store(float *p) const {
        for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v[i]);
    }
    void store_half(uint16_t *p) const {
        for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(v[i])));
    }

    friend Floats operator+(Floats x, Floats y) {
        return each([&](int i) { return vaddq_f32(x.v[i], y.v[i]); });
    }
    friend Floats operator-(Floats x, Floats y) {
        return each([&](int i) { return vsubq_f32(x.v[i], y.v[i]); });
    }
    friend Floats operator*(Floats x, Floats y) {
        return each([&](int i) { return vmulq_f32(x.v[i], y.v[i]); });
    }
    friend Floats operator/(Floats x, Floats y) {
        return each([&](int i) { return vdivq_f32(x.v[i], y.v[i]); });
    }
    static Floats fma(Floats x, Floats y, Floats z) {
        return each([&](int i) { return vfmaq_f32(z.v[i], x.v[i], y.v[i]); });
    }
    // of a number and NaN: the number, as in the other families
    static Floats max(Floats x, Floats y) {
        return each([&](int i) { return vmaxnmq_f32(x.v[i], y.v[i]); });
    }
    static Floats min(Floats x, Floats y) {
        return each([&](int i) { return vminnmq_f32(x.v[i], y.v[i]); });
    }
    float largest() const { return vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(v[0], v[1]), vmaxnmq_f32(v[2], v[3]))); }
    Floats abs() const {
        return each([&](int i) { return vabsq_f32(v[i]); });
    }
    Floats rounded() const {
        return each([&](int i) { return vrndnq_f32(v[i]); });
    }
    // this * 2^n for whole n from -126 to 127
    Floats scaled(Floats n) const {
        return each([&](int i) {
            const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n.v[i]), vdupq_n_s32(127));
            return vmulq_f32(v[i], vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
        });
    }
    // the first `count` lanes, none if it is negative, and zero in the others
    Floats first(int count) const {
        constexpr int32_t numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        return each([&](int i) {
            const uint32x4_t wanted = vcltq_s32(vld1q_s32(numbers + 4 * i), vdupq_n_s32(count));
            return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v[i]), wanted));
        });
    }
    // whole numbers from -127 to 127, as bytes
    void store_bytes(int8_t *p) const {
        const auto words = [&](int i) { return vqmovn_s32(vcvtq_s32_f32(v[i])); };
        vst1_s8(p, vqmovn_s16(vcombine_s16(words(0), words(1))));
        vst1_s8(p + 8, vqmovn_s16(vcombine_s16(words(2), words(3))));
    }
    // rounded to whole numbers from -32768 to 32767, as words
    void store_words(int16_t *p) const {
        for (int i = 0; i < 4; ++i) vst1_s16(p + 4 * i, vqmovn_s32(vcvtnq_s32_f32(v[i])));
    }
};

// 16 integer lanes, one for each row.
struct Ints {
    int32x4_t v[4];

    template <class F>
    static Ints each(F f) {
        return {{f(0), f(1), f(2), f(3)}};
    }
    static Ints broadcast(int32_t x) {
        return each([&](int) { return vdupq_n_s32(x); });
    }
    // dwords
    static Ints load(const uint8_t *p) {
        return each([&](int i) { return vreinterpretq_s32_u8(vld1q_u8(p + 16 * i)); });
    }
    // unsigned words
    static Ints load_words(const uint8_t *p) {
        return each([&](int i) { return vreinterpretq_s32_u32(vmovl_u16(vreinterpret_u16_u8(vld1_u8(p + 8 * i)))); });
    }
    // (lane >> Shift) & Mask; to the left if Shift is negative
    template <int Shift, int Mask>
    Ints field() const {
        return each([&](int i) {
            uint32x4_t lanes = vreinterpretq_u32_s32(v[i]);
            if constexpr (Shift < 0) lanes = vshlq_n_u32(lanes, -Shift);
            if constexpr (Shift > 0) lanes = vshrq_n_u32(lanes, Shift);
            return vreinterpretq_s32_u32(vandq_u32(lanes, vdupq_n_u32(Mask)));
        });
    }
    // byte Place of each lane, with its sign
    template <int Place>
    Ints signed_byte() const {
        return each([&](int i) { return vshrq_n_s32(vshlq_n_s32(v[i], 24 - 8 * Place), 24); });
    }
    friend Ints operator|(Ints x, Ints y) {
        return each([&](int i) { return vorrq_s32(x.v[i], y.v[i]); });
    }
    Floats to_floats() const {
        return Floats::each([&](int i) { return vcvtq_f32_s32(v[i]); });
    }
};

// 64 unsigned codes, 16 rows x 4 columns:
//
//     v[0]   row 0: c c+1 c+2 c+3 | row 1: … | row 2: … | row 3: …
//     v[1]   row 4: …             | …
struct Codes {
    uint8x16_t v[4];

    template <class F>
    static Codes each(F f) {
        return {{f(0), f(1), f(2), f(3)}};
    }
    static Codes load(const uint8_t *p) {
        return each([&](int i) { return vld1q_u8(p + 16 * i); });
    }
    // (code >> Shift) & Mask; to the left if Shift is negative. Mask has no bit that would come from another code.
    template <int Shift, int Mask>
    Codes field() const {
        return each([&](int i) {
            uint8x16_t codes = v[i];
            if constexpr (Shift < 0) codes = vshlq_n_u8(codes, -Shift);
            if constexpr (Shift > 0) codes = vshrq_n_u8(codes, Shift);
            return vandq_u8(codes, vdupq_n_u8(Mask));
        });
    }
    // code >> places
    Codes shifted(int places) const {
        return each([&](int i) { return vshlq_u8(v[i], vdupq_n_s8(static_cast<int8_t>(-places))); });
    }
    // 16 where a bit is set: bit Place + k of a row's dword for its code k
    template <int Place>
    Codes fifth_bits() const {
        constexpr uint8_t byte = Place / 8, bit = 1 << Place % 8;
        constexpr uint8_t from[16] = {byte,      byte,      byte,      byte,     byte + 4, byte + 4,
                                      byte + 4,  byte + 4,  byte + 8,  byte + 8, byte + 8, byte + 8,
                                      byte + 12, byte + 12, byte + 12, byte + 12};
        const uint8x16_t bits = vreinterpretq_u8_u32(vdupq_n_u32(bit | bit << 9 | bit << 18 | uint32_t{bit} << 27));
        return each([&](int i) { return vandq_u8(vtstq_u8(vqtbl1q_u8(v[i], vld1q_u8(from)), bits), vdupq_n_u8(16)); });
    }
    // table[code] for codes below 16
    Codes looked_up(const uint8_t *table) const {
        return each([&](int i) { return vqtbl1q_u8(vld1q_u8(table), v[i]); });
    }
    // with the highest bit flipped: adds 128 to signed codes
    Codes flipped() const {
        return each([&](int i) { return veorq_u8(v[i], vdupq_n_u8(128)); });
    }
    friend Codes operator|(Codes x, Codes y) {
        return each([&](int i) { return vorrq_u8(x.v[i], y.v[i]); });
    }
    void store(uint8_t *p) const {
        for (int i = 0; i < 4; ++i) vst1q_u8(p + 16 * i, v[i]);
    }
};

// Sums of the products of codes, of 16 rows x some columns, and activations; see Form in unpack.inc. The instruction
// multiplies signed bytes: codes of eight bits are held as code - 128 in a tile, smaller ones as they are.
template <int Bits, int Zero>
struct Products {
    static_assert(Bits < 8 || Zero == 128);

    static constexpr int kBytes = 64;  // of 16 rows x 4 columns in a tile
    using Weights = Codes;

    static void store(Codes codes, uint8_t *to) { (Bits == 8 ? codes.flipped() : codes).store(to); }
    static Weights load(const uint8_t *from) { return Codes::load(from); }
    static Weights weights(Codes codes) { return Bits == 8 ? codes.flipped() : codes; }

    Ints sums;

    // -Zero times the activations' sum; see ActivationSum
    static Products start(const int16_t *negated) {
        return {Ints::broadcast(Bits == 8 ? 0 : Zero * (negated[0] + negated[1]))};
    }
    // adds the products of each row's four codes and the four activations at x
    void add(Weights w, const int8_t *x) {
        int32_t four;
        __builtin_memcpy(&four, x, 4);
        const int8x16_t bytes = vreinterpretq_s8_s32(vdupq_n_s32(four));
        for (int i = 0; i < 4; ++i) sums.v[i] = vdotq_s32(sums.v[i], vreinterpretq_s8_u8(w.v[i]), bytes);
    }
    Floats to_floats() const { return sums.to_floats(); }
};

// 16 lanes of two whole numbers: the first numbers of 8 lanes, the second ones, and the same of the other 8.
struct Pairs {
    int16x8x2_t v[2];

    static Pairs load(const int16_t *p) { return {{vld2q_s16(p), vld2q_s16(p + 16)}}; }
    // Stores x and y in the order of values, see latents_as_values.
    static void store_as_values(Pairs x, Pairs y, int16_t *to, size_t stride) {
        for (int half = 0; half < 2; ++half, to += 4 * stride) {
            const auto numbers = [&](const Pairs &pairs) {  // of four pairs of positions, two dimensions each
                return vzipq_s32(vreinterpretq_s32_s16(pairs.v[half].val[0]),
                                 vreinterpretq_s32_s16(pairs.v[half].val[1]));
            };
            const int32x4x2_t first = numbers(x), second = numbers(y);
            for (int i = 0; i < 2; ++i) {
                const int32x4_t even = vcombine_s32(vget_low_s32(first.val[i]), vget_low_s32(second.val[i]));
                const int32x4_t odd = vcombine_s32(vget_high_s32(first.val[i]), vget_high_s32(second.val[i]));
                vst1q_s16(to + 2 * i * stride, vreinterpretq_s16_s32(even));
                vst1q_s16(to + (2 * i + 1) * stride, vreinterpretq_s16_s32(odd));
            }
        }
    }
};

// 16 sums of products of pairs.
struct PairSums {
    using Lanes = Pairs;
    using Code = int16_t;
    using Weight = int16_t;
    static constexpr int kCodes = 2;  // of a lane
    static constexpr int kZero = 0;   // what keys have in the place of 0

    Ints sums;

    static PairSums broadcast(int32_t x) { return {Ints::broadcast(x)}; }
    // adds the products of each lane's pair and the two factors at x
    void add(Pairs pairs, const int16_t *x) {
        for (int half = 0; half < 2; ++half) {
            for (int number = 0; number < 2; ++number) {
                const int16x8_t eight = pairs.v[half].val[number];
                int32x4_t *const to = sums.v + 2 * half;
                to[0] = vmlal_n_s16(to[0], vget_low_s16(eight), x[number]);
                to[1] = vmlal_high_n_s16(to[1], eight, x[number]);
            }
        }
    }
    Floats to_floats() const { return sums.to_floats(); }
};

using NarrowSums = PairSums;  // for caches of one byte a code

}  // namespace chatglm::neon
