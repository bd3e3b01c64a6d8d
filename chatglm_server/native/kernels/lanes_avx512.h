// Sixteen lanes in AVX-512 registers, with VNNI for products of bytes.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace chatglm::avx512 {

constexpr int kTile = 8;  // tokens whose sums are kept in registers

// 16 float lanes.
struct Floats {
    __m512 v;

    static Floats zero() { return {_mm512_setzero_ps()}; }
    static Floats broadcast(float x) { return {_mm512_set1_ps(x)}; }
    static Floats load(const float *p) { return {_mm512_loadu_ps(p)}; }
    static Floats load_half(const uint16_t *p) {
        return {_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)))};
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
};

// 64 unsigned codes, 16 rows x 4 columns, as matrix.h has them:
//
//     v   row 0: c c+1 c+2 c+3 | row 1: … | … | row 15: …
struct Codes {
    __m512i v;

    static Codes load(const uint8_t *p) { return {_mm512_loadu_si512(p)}; }
    Codes low_nibbles() const { return {_mm512_and_si512(v, _mm512_set1_epi8(15))}; }
    Codes high_nibbles() const { return {_mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15))}; }
    // adds 16 where `bits`, one for each code, is set
    Codes with_fifth_bits(uint64_t bits) const { return {_mm512_mask_add_epi8(v, bits, v, _mm512_set1_epi8(16))}; }
};

// 16 integer lanes, one for each row.
struct Ints {
    __m512i v;

    static Ints broadcast(int32_t x) { return {_mm512_set1_epi32(x)}; }
    // adds the products of each row's four codes and the four activations at x
    template <bool Wide>
    void add_products(Codes w, const int8_t *x) {
        int32_t four;
        __builtin_memcpy(&four, x, 4);
        v = _mm512_dpbusd_epi32(v, w.v, _mm512_set1_epi32(four));
    }
    Floats to_floats() const { return {_mm512_cvtepi32_ps(v)}; }
};

}  // namespace chatglm::avx512
