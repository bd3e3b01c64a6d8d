// Sixteen lanes in two AVX2 registers, with FMA and F16C.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace chatglm::avx2 {

constexpr int kTile = 4;  // tokens whose sums are kept in registers

// 16 float lanes.
struct Floats {
    __m256 a, b;

    static Floats zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
    static Floats broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
    static Floats load(const float *p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
    static Floats load_half(const uint16_t *p) {
        const auto *halves = reinterpret_cast<const __m128i *>(p);
        return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
    }
    void store(float *p) const {
        _mm256_storeu_ps(p, a);
        _mm256_storeu_ps(p + 8, b);
    }
    void store_half(uint16_t *p) const {
        auto *halves = reinterpret_cast<__m128i *>(p);
        _mm_storeu_si128(halves, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
        _mm_storeu_si128(halves + 1, _mm256_cvtps_ph(b, _MM_FROUND_TO_NEAREST_INT));
    }

    friend Floats operator+(Floats x, Floats y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
    friend Floats operator-(Floats x, Floats y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
    friend Floats operator*(Floats x, Floats y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
    friend Floats operator/(Floats x, Floats y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
    static Floats fma(Floats x, Floats y, Floats z) {
        return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
    }
    static Floats max(Floats x, Floats y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
    static Floats min(Floats x, Floats y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
    Floats abs() const {
        const __m256 sign = _mm256_set1_ps(-0.0f);
        return {_mm256_andnot_ps(sign, a), _mm256_andnot_ps(sign, b)};
    }
    Floats rounded() const {
        constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        return {_mm256_round_ps(a, nearest), _mm256_round_ps(b, nearest)};
    }
    // this * 2^n for whole n from -126 to 127
    Floats scaled(Floats n) const { return {a * power(n.a), b * power(n.b)}; }
    // the first `count` lanes, none if it is negative, and zero in the others
    Floats first(int count) const {
        const __m256i wanted = _mm256_set1_epi32(count);
        const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i high = _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15);
        return {_mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpgt_epi32(wanted, low))),
                _mm256_and_ps(b, _mm256_castsi256_ps(_mm256_cmpgt_epi32(wanted, high)))};
    }
    // whole numbers from -127 to 127, as bytes
    void store_bytes(int8_t *p) const {
        const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
        const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
        _mm_storeu_si128(reinterpret_cast<__m128i *>(p),
                         _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
    }

  private:
    static __m256 power(__m256 n) {
        const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
    }
};

// 64 unsigned codes, 16 rows x 4 columns, as matrix.h has them:
//
//     a   row 0: c c+1 c+2 c+3 | row 1: … | … | row 7: …
//     b   row 8: …             | row 9: … | … | row 15: …
struct Codes {
    __m256i a, b;

    static Codes load(const uint8_t *p) {
        const auto *halves = reinterpret_cast<const __m256i *>(p);
        return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
    }
    Codes low_nibbles() const {
        const __m256i mask = _mm256_set1_epi8(15);
        return {_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)};
    }
    Codes high_nibbles() const {
        const __m256i mask = _mm256_set1_epi8(15);
        return {_mm256_and_si256(_mm256_srli_epi16(a, 4), mask), _mm256_and_si256(_mm256_srli_epi16(b, 4), mask)};
    }
    // adds 16 where `bits`, one for each code, is set
    Codes with_fifth_bits(uint64_t bits) const {
        return {_mm256_or_si256(a, spread(static_cast<uint32_t>(bits))),
                _mm256_or_si256(b, spread(static_cast<uint32_t>(bits >> 32)))};
    }

  private:
    static __m256i spread(uint32_t bits) {
        const __m256i byte_of =
            _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
        const __m256i bit_of = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
        const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int32_t>(bits)), byte_of);
        const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit_of), bit_of);
        return _mm256_and_si256(set, _mm256_set1_epi8(16));
    }
};

// 16 integer lanes, one for each row.
struct Ints {
    __m256i a, b;

    static Ints broadcast(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
    // adds the products of each row's four codes and the four activations at x
    template <bool Wide>
    void add_products(Codes w, const int8_t *x) {
        int32_t four;
        __builtin_memcpy(&four, x, 4);
        if constexpr (Wide) {  // pairs of products, up to 255 * 127 * 2, do not fit 16 bits
            const __m256i wide = _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
            a = _mm256_add_epi32(a, row_sums(w.a, wide));
            b = _mm256_add_epi32(b, row_sums(w.b, wide));
        } else {
            const __m256i bytes = _mm256_set1_epi32(four), ones = _mm256_set1_epi16(1);
            a = _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_maddubs_epi16(w.a, bytes), ones));
            b = _mm256_add_epi32(b, _mm256_madd_epi16(_mm256_maddubs_epi16(w.b, bytes), ones));
        }
    }
    Floats to_floats() const { return {_mm256_cvtepi32_ps(a), _mm256_cvtepi32_ps(b)}; }

  private:
    // The sums of four products for each of 8 rows. The two halves are unpacked within 128-bit lanes, and the
    // horizontal addition puts them back together in the same way, so that the rows stay in order.
    static __m256i row_sums(__m256i codes, __m256i wide) {
        const __m256i zero = _mm256_setzero_si256();
        const __m256i low = _mm256_madd_epi16(_mm256_unpacklo_epi8(codes, zero), wide);
        const __m256i high = _mm256_madd_epi16(_mm256_unpackhi_epi8(codes, zero), wide);
        return _mm256_hadd_epi32(low, high);
    }
};

}  // namespace chatglm::avx2
