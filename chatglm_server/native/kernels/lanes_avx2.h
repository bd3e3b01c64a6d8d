// Sixteen lanes with AVX2, FMA and F16C.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace chatglm::avx2 {

constexpr int kTile = 6;         // tokens whose sums attention keeps in registers
constexpr int kProductTile = 4;  // tokens whose products are summed together

#include "kernels/lanes_256.inc"

// Has the compiler compute `a` and `b` here. It would compute all products of a block first and add them later, and
// would have to store them meanwhile, as there are but 16 registers.
inline void keep_order(__m256i &a, __m256i &b) { asm volatile("" : "+x"(a), "+x"(b)); }

// Sums of the products of codes, of 16 rows x some columns, and activations; see Form in unpack.inc. Two sums of 16
// bits for each row: of the columns 0 and 1, and 2 and 3, of each four. They may overflow on the way and are right in
// the end: with Zero subtracted, 32 columns of up to 5 bits, or 16 columns of 6 bits, come to at most 16 * 16 * 127 =
// 32512. No sum of two products overflows, which would saturate.
template <int Bits, int Zero>
struct Products {
    static_assert(Bits < 7 && ((1 << Bits) - 1 - Zero) * 16 * 127 >> (Bits == 6) < 1 << 15);

    static constexpr int kBytes = 64;  // of 16 rows x 4 columns in a tile
    using Weights = Codes;

    static void store(Codes codes, uint8_t *to) { codes.store(to); }
    static Weights load(const uint8_t *from) { return Codes::load(from); }
    static Weights weights(Codes codes) { return codes; }

    __m256i a, b;

    // -Zero times the activations' sum; see ActivationSum
    static Products start(const int16_t *negated) {
        if constexpr (Zero == 0) return {_mm256_setzero_si256(), _mm256_setzero_si256()};
        int32_t pair;
        __builtin_memcpy(&pair, negated, 4);
        const __m256i sum = _mm256_mullo_epi16(_mm256_set1_epi32(pair), _mm256_set1_epi16(Zero));
        return {sum, sum};
    }
    // adds the products of each row's four codes and the four activations at x
    void add(Weights w, const int8_t *x) {
        int32_t four;
        __builtin_memcpy(&four, x, 4);
        const __m256i bytes = _mm256_set1_epi32(four);
        a = _mm256_add_epi16(a, _mm256_maddubs_epi16(w.a, bytes));
        b = _mm256_add_epi16(b, _mm256_maddubs_epi16(w.b, bytes));
        keep_order(a, b);
    }
    Floats to_floats() const {
        const __m256i ones = _mm256_set1_epi16(1);
        return Ints{_mm256_madd_epi16(a, ones), _mm256_madd_epi16(b, ones)}.to_floats();
    }
};

// Eight bits: a tile holds them signed, code - 128. A sum of two products is at most 128 * 127 * 2 = 32512.
template <>
struct Products<8, 128> {
    static constexpr int kBytes = 64;
    struct Weights {
        __m256i a, b, magnitudes_a, magnitudes_b;
    };

    static void store(Codes codes, uint8_t *to) { codes.flipped().store(to); }
    static Weights load(const uint8_t *from) { return with_magnitudes(Codes::load(from)); }
    static Weights weights(Codes codes) { return with_magnitudes(codes.flipped()); }

    __m256i a, b;

    static Products start(const int16_t *) { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
    void add(Weights w, const int8_t *x) {
        int32_t four;
        __builtin_memcpy(&four, x, 4);
        const __m256i bytes = _mm256_set1_epi32(four), ones = _mm256_set1_epi16(1);
        const __m256i pairs_a = _mm256_maddubs_epi16(w.magnitudes_a, _mm256_sign_epi8(bytes, w.a));
        a = _mm256_add_epi32(a, _mm256_madd_epi16(pairs_a, ones));
        const __m256i pairs_b = _mm256_maddubs_epi16(w.magnitudes_b, _mm256_sign_epi8(bytes, w.b));
        b = _mm256_add_epi32(b, _mm256_madd_epi16(pairs_b, ones));
        keep_order(a, b);
    }
    Floats to_floats() const { return Ints{a, b}.to_floats(); }

  private:
    static Weights with_magnitudes(Codes codes) {
        return {codes.a, codes.b, _mm256_abs_epi8(codes.a), _mm256_abs_epi8(codes.b)};
    }
};

using NarrowSums = PairSums;  // for caches of one byte a code

}  // namespace chatglm::avx2
