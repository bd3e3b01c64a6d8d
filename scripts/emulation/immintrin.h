// AVX-512 and AVX-VNNI for processors that have only AVX2: stands before the compiler's own <immintrin.h>.
//
// SIMDe computes what an intrinsic of AVX-512 computes, with AVX2 and plain C++, under the intrinsic's own name. What
// it lacks, or rounds in another way than the processors do, follows below. An intrinsic that is in neither place is an
// error of the compiler ("target specific option mismatch"), so nothing goes unnoticed.
#pragma once

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#define SIMDE_NO_INLINE  // GCC would take minutes and a gigabyte
#include <simde/x86/avx512.h>

#include <cmath>

namespace emulation {

// The kernels write masks of all lanes where GCC warns of the form without a mask; there are no others.
template <unsigned Mask = 0xffff>
__m512 cvtph_ps(__m256i halves) {
    static_assert(Mask == 0xffff);
    return simde_mm512_insertf32x8(simde_mm512_castps256_ps512(_mm256_cvtph_ps(_mm256_castsi256_si128(halves))),
                                   _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)), 1);
}

template <int Rounding, unsigned Mask = 0xffff>
__m256i cvtps_ph(__m512 x) {
    static_assert(Mask == 0xffff);
    return _mm256_set_m128i(_mm256_cvtps_ph(simde_mm512_extractf32x8_ps(x, 1), Rounding),
                            _mm256_cvtps_ph(simde_mm512_castps512_ps256(x), Rounding));
}

// SIMDe's flushes subnormal numbers.
inline __m512 scalef_ps(__m512 x, __m512 n) {
    alignas(64) float values[16], powers[16];
    simde_mm512_store_ps(values, x);
    simde_mm512_store_ps(powers, n);
    for (int i = 0; i < 16; ++i) values[i] = std::ldexp(values[i], static_cast<int>(std::floor(powers[i])));
    return simde_mm512_load_ps(values);
}

}  // namespace emulation

#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps(halves) emulation::cvtph_ps(halves)
#define _mm512_maskz_cvtph_ps(mask, halves) emulation::cvtph_ps<mask>(halves)
#define _mm512_cvtps_ph(x, rounding) emulation::cvtps_ph<rounding>(x)
#define _mm512_maskz_cvtps_ph(mask, x, rounding) emulation::cvtps_ph<rounding, mask>(x)
#undef _mm512_scalef_ps
#define _mm512_scalef_ps(x, n) emulation::scalef_ps(x, n)

// The two encodings of one instruction.
#define _mm256_dpbusd_avx_epi32(sums, a, b) simde_mm256_dpbusd_epi32(sums, a, b)
