// Sixteen lanes in AVX-512 registers, with VNNI for products of bytes.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace chatglm::avx512 {

constexpr int kTile = 8;         // tokens whose sums attention keeps in registers
constexpr int kProductTile = 8;  // tokens whose products are summed together

// 16 float lanes.
struct Floats {
    __m512 v;

    static Floats zero() { return {_mm512_setzero_ps()}; }
    static Floats broadcast(float x) { return {_mm512_set1_ps(x)}; }
    static Floats load(const float *p) { return {_mm512_loadu_ps(p)}; }
    static Floats load_half(const uint16_t *p) {
        return {_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)))};
    }
    static Floats load_bfloat(const uint16_t *p) {
        const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
        return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16))};
    }
    void store(float *p) const { _mm512_storeu_ps(p, v); }
    void store_half(uint16_t *p) const {
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(p),
                            _mm512_maskz_cvtps_ph(0xffff, v, _MM_FROUND_TO_NEAREST_INT));
    }

    friend Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
    friend Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
    friend Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
    friend Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
    static Floats fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
    static Floats max(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
    static Floats min(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }
    float largest() const { return _mm512_reduce_max_ps(v); }
    Floats abs() const { return {_mm512_abs_ps(v)}; }
    Floats rounded() const { return {_mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
    // this * 2^n for whole n
    Floats scaled(Floats n) const { return {_mm512_scalef_ps(v, n.v)}; }
    // the first `count` lanes, none if it is negative, and zero in the others
    Floats first(int count) const {
        const unsigned lanes = count <= 0 ? 0 : count < 16 ? (1u << count) - 1 : 0xffff;
        return {_mm512_maskz_mov_ps(static_cast<__mmask16>(lanes), v)};
    }
    // whole numbers from -127 to 127, as bytes
    void store_bytes(int8_t *p) const {
        _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
    }
    // rounded to whole numbers from -32768 to 32767, as words
    void store_words(int16_t *p) const {
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v)));
    }
};

// 16 integer lanes, one for each row.
struct Ints {
    __m512i v;

    // dwords
    static Ints load(const uint8_t *p) { return {_mm512_loadu_si512(p)}; }
    // unsigned words
    static Ints load_words(const uint8_t *p) {
        return {_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)))};
    }
    // (lane >> Shift) & Mask; to the left if Shift is negative
    template <int Shift, int Mask>
    Ints field() const {
        const __m512i mask = _mm512_set1_epi32(Mask);
        if constexpr (Shift < 0)
            return {_mm512_and_si512(_mm512_slli_epi32(v, -Shift), mask)};
        else
            return {_mm512_and_si512(_mm512_srli_epi32(v, Shift), mask)};
    }
    // byte Place of each lane, with its sign
    template <int Place>
    Ints signed_byte() const {
        return {_mm512_srai_epi32(_mm512_slli_epi32(v, 24 - 8 * Place), 24)};
    }
    friend Ints operator|(Ints x, Ints y) { return {_mm512_or_si512(x.v, y.v)}; }
    Floats to_floats() const { return {_mm512_cvtepi32_ps(v)}; }
};

// 64 unsigned codes, 16 rows x 4 columns:
//
//     v   row 0: c c+1 c+2 c+3 | row 1: … | … | row 15: …
struct Codes {
    __m512i v;

    static Codes load(const uint8_t *p) { return {_mm512_loadu_si512(p)}; }
    // (code >> Shift) & Mask; to the left if Shift is negative. Mask has no bit that would come from another code.
    template <int Shift, int Mask>
    Codes field() const {
        const __m512i mask = _mm512_set1_epi8(static_cast<char>(Mask));
        if constexpr (Shift < 0)
            return {_mm512_and_si512(_mm512_slli_epi16(v, -Shift), mask)};
        else
            return {_mm512_and_si512(_mm512_srli_epi16(v, Shift), mask)};
    }
    // code >> places, with bits of the next code above
    Codes shifted(int places) const { return {_mm512_srl_epi16(v, _mm_cvtsi32_si128(places))}; }
    // 16 where a bit is set: bit Place + k of a row's dword for its code k
    template <int Place>
    Codes fifth_bits() const {
        constexpr int byte = Place / 8, bit = 1 << Place % 8;
        const __m512i from = _mm512_broadcast_i32x4(_mm_setr_epi8(byte, byte, byte, byte, byte + 4, byte + 4, byte + 4,
                                                                  byte + 4, byte + 8, byte + 8, byte + 8, byte + 8,
                                                                  byte + 12, byte + 12, byte + 12, byte + 12));
        const __m512i bits = _mm512_set1_epi32(bit | bit << 9 | bit << 18 | static_cast<int>(unsigned(bit) << 27));
        return {_mm512_maskz_mov_epi8(_mm512_test_epi8_mask(_mm512_shuffle_epi8(v, from), bits), _mm512_set1_epi8(16))};
    }
    // table[code] for codes below 16
    Codes looked_up(const uint8_t *table) const {
        const __m512i values = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i *>(table)));
        return {_mm512_shuffle_epi8(values, v)};
    }
    // with the highest bit flipped: adds 128 to signed codes
    Codes flipped() const { return {_mm512_xor_si512(v, _mm512_set1_epi8(-128))}; }
    friend Codes operator|(Codes x, Codes y) { return {_mm512_or_si512(x.v, y.v)}; }
    void store(uint8_t *p) const { _mm512_storeu_si512(p, v); }
};

// Sums of the products of codes, of 16 rows x some columns, and activations; see Form in unpack.inc.
template <int Bits, int Zero>
struct Products {
    static constexpr int kBytes = 64;  // of 16 rows x 4 columns in a tile
    using Weights = Codes;

    static void store(Codes codes, uint8_t *to) { codes.store(to); }
    static Weights load(const uint8_t *from) { return Codes::load(from); }
    static Weights weights(Codes codes) { return codes; }

    __m512i v;

    // -Zero times the activations' sum; see ActivationSum
    static Products start(const int16_t *negated) {
        if constexpr (Zero == 0) return {_mm512_setzero_si512()};
        int32_t pair;
        __builtin_memcpy(&pair, negated, 4);
        return {_mm512_madd_epi16(_mm512_set1_epi32(pair), _mm512_set1_epi16(Zero))};
    }
    // adds the products of each row's four codes and the four activations at x
    void add(Weights w, const int8_t *x) {
        int32_t four;
        __builtin_memcpy(&four, x, 4);
        v = _mm512_dpbusd_epi32(v, w.v, _mm512_set1_epi32(four));
    }
    Floats to_floats() const { return {_mm512_cvtepi32_ps(v)}; }
};

// 16 lanes of two whole numbers.
struct Pairs {
    __m512i v;

    static Pairs load(const int16_t *p) { return {_mm512_loadu_si512(p)}; }
    // Stores x and y in the order of values, see latents_as_values.
    static void store_as_values(Pairs x, Pairs y, int16_t *to, size_t stride) {
        const __m512i order =
            _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
        const __m512i first = _mm512_shuffle_epi8(x.v, order), second = _mm512_shuffle_epi8(y.v, order);
        const __m512i even = _mm512_unpacklo_epi64(first, second), odd = _mm512_unpackhi_epi64(first, second);
        const auto store = [&](int row, __m128i v) {
            _mm_storeu_si128(reinterpret_cast<__m128i *>(to + row * stride), v);
        };
        store(0, _mm512_castsi512_si128(even)), store(1, _mm512_castsi512_si128(odd));
        store(2, _mm512_extracti32x4_epi32(even, 1)), store(3, _mm512_extracti32x4_epi32(odd, 1));
        store(4, _mm512_extracti32x4_epi32(even, 2)), store(5, _mm512_extracti32x4_epi32(odd, 2));
        store(6, _mm512_extracti32x4_epi32(even, 3)), store(7, _mm512_extracti32x4_epi32(odd, 3));
    }
};

// 16 sums of products of pairs.
struct PairSums {
    using Lanes = Pairs;
    using Code = int16_t;
    using Weight = int16_t;
    static constexpr int kCodes = 2;  // of a lane
    static constexpr int kZero = 0;   // what keys have in the place of 0

    __m512i v;

    static PairSums broadcast(int32_t x) { return {_mm512_set1_epi32(x)}; }
    // adds the products of each lane's pair and the two factors at x
    void add(Pairs pairs, const int16_t *x) {
        int32_t two;
        __builtin_memcpy(&two, x, 4);
        v = _mm512_dpwssd_epi32(v, pairs.v, _mm512_set1_epi32(two));
    }
    Floats to_floats() const { return {_mm512_cvtepi32_ps(v)}; }
};

// 16 lanes of four bytes.
struct Quads {
    __m512i v;

    static Quads load(const int8_t *p) { return {_mm512_loadu_si512(p)}; }
    // with the highest bits flipped: takes 128 from unsigned bytes
    Quads flipped() const { return {_mm512_xor_si512(v, _mm512_set1_epi8(-128))}; }
    // Stores four quads in the order of values, see latents_as_values.
    static void store_as_values(const Quads *quads, int8_t *to, size_t stride) {
        const __m512i order =
            _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
        const auto lanes = [&](int i) { return _mm512_shuffle_epi8(quads[i].v, order); };
        const __m512i a = lanes(0), b = lanes(1), c = lanes(2), d = lanes(3);
        const __m512i low = _mm512_shuffle_i32x4(a, b, 0x44), high = _mm512_shuffle_i32x4(a, b, 0xee);
        const __m512i further_low = _mm512_shuffle_i32x4(c, d, 0x44), further_high = _mm512_shuffle_i32x4(c, d, 0xee);
        _mm512_storeu_si512(to, _mm512_shuffle_i32x4(low, further_low, 0x88));
        _mm512_storeu_si512(to + stride, _mm512_shuffle_i32x4(low, further_low, 0xdd));
        _mm512_storeu_si512(to + 2 * stride, _mm512_shuffle_i32x4(high, further_high, 0x88));
        _mm512_storeu_si512(to + 3 * stride, _mm512_shuffle_i32x4(high, further_high, 0xdd));
    }
};

// 16 sums of products of quads: of unsigned bytes with signed factors, or of signed bytes with unsigned weights.
struct QuadSums {
    using Lanes = Quads;
    using Code = int8_t;
    using Weight = uint8_t;
    static constexpr int kCodes = 4;
    static constexpr int kZero = 128;  // keys are unsigned

    __m512i v;

    static QuadSums broadcast(int32_t x) { return {_mm512_set1_epi32(x)}; }
    void add(Quads quads, const int8_t *x) { v = _mm512_dpbusd_epi32(v, quads.v, four(x)); }
    void add(Quads quads, const uint8_t *x) { v = _mm512_dpbusd_epi32(v, four(x), quads.v); }
    Floats to_floats() const { return {_mm512_cvtepi32_ps(v)}; }

  private:
    static __m512i four(const void *x) {
        int32_t bytes;
        __builtin_memcpy(&bytes, x, 4);
        return _mm512_set1_epi32(bytes);
    }
};

using NarrowSums = QuadSums;  // for caches of one byte a code

}  // namespace chatglm::avx512
