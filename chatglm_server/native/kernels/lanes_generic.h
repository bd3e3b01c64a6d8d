// Sixteen lanes in plain C++, for any processor: short loops over arrays, which compilers turn into vectors.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/half.h"

namespace chatglm::generic {

constexpr int kTile = 4;  // tokens whose sums are kept in registers

// 16 float lanes.
struct Floats {
    float v[16];

    template <class F>
    static Floats each(F f) {
        Floats made;
        for (int i = 0; i < 16; ++i) made.v[i] = f(i);
        return made;
    }
    static Floats zero() { return broadcast(0); }
    static Floats broadcast(float x) {
        return each([&](int) { return x; });
    }
    static Floats load(const float *p) {
        return each([&](int i) { return p[i]; });
    }
    static Floats load_half(const uint16_t *p) {
        return each([&](int i) { return half_to_float(p[i]); });
    }
    void store(float *p) const { std::memcpy(p, v, sizeof v); }
    void store_half(uint16_t *p) const {
        for (int i = 0; i < 16; ++i) p[i] = float_to_half(v[i]);
    }

    friend Floats operator+(const Floats &a, const Floats &b) {
        return each([&](int i) { return a.v[i] + b.v[i]; });
    }
    friend Floats operator-(const Floats &a, const Floats &b) {
        return each([&](int i) { return a.v[i] - b.v[i]; });
    }
    friend Floats operator*(const Floats &a, const Floats &b) {
        return each([&](int i) { return a.v[i] * b.v[i]; });
    }
    friend Floats operator/(const Floats &a, const Floats &b) {
        return each([&](int i) { return a.v[i] / b.v[i]; });
    }
    // rounds twice, as processors without a fused instruction do
    static Floats fma(const Floats &a, const Floats &b, const Floats &c) {
        return each([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
    }
    static Floats max(const Floats &a, const Floats &b) {
        return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
    }
    static Floats min(const Floats &a, const Floats &b) {
        return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
    }
    Floats abs() const {
        return each([&](int i) { return std::fabs(v[i]); });
    }
    Floats rounded() const {
        return each([&](int i) { return std::nearbyint(v[i]); });
    }
    // this * 2^n for whole n from -126 to 127
    Floats scaled(const Floats &n) const {
        return each([&](int i) {
            const uint32_t bits = static_cast<uint32_t>(static_cast<int32_t>(n.v[i]) + 127) << 23;
            float power;
            std::memcpy(&power, &bits, sizeof power);
            return v[i] * power;
        });
    }
    // the first `count` lanes, none if it is negative, and zero in the others
    Floats first(int count) const {
        return each([&](int i) { return i < count ? v[i] : 0.0f; });
    }
    // whole numbers from -127 to 127, as bytes; others, which broken weights lead to, as one of these
    void store_bytes(int8_t *p) const {
        for (int i = 0; i < 16; ++i) {
            const float bounded = v[i] < 127 ? v[i] : 127.0f;  // also for NaN
            p[i] = static_cast<int8_t>(bounded > -127 ? bounded : -127.0f);
        }
    }
};

// 64 unsigned codes, 16 rows x 4 columns, as matrix.h has them:
//
//     v[4 * row + column]
struct Codes {
    uint8_t v[64];

    template <class F>
    static Codes each(F f) {
        Codes made;
        for (int i = 0; i < 64; ++i) made.v[i] = static_cast<uint8_t>(f(i));
        return made;
    }
    static Codes load(const uint8_t *p) {
        return each([&](int i) { return p[i]; });
    }
    Codes low_nibbles() const {
        return each([&](int i) { return v[i] & 15; });
    }
    Codes high_nibbles() const {
        return each([&](int i) { return v[i] >> 4; });
    }
    // adds 16 where `bits`, one for each code, is set
    Codes with_fifth_bits(uint64_t bits) const {
        return each([&](int i) { return v[i] + ((bits >> i & 1) << 4); });
    }
};

// 16 integer lanes, one for each row.
struct Ints {
    int32_t v[16];

    static Ints broadcast(int32_t x) {
        Ints made;
        for (int32_t &lane : made.v) lane = x;
        return made;
    }
    // adds the products of each row's four codes and the four activations at x
    template <bool Wide>
    void add_products(const Codes &w, const int8_t *x) {
        for (int row = 0; row < 16; ++row) {
            for (int column = 0; column < 4; ++column) v[row] += w.v[4 * row + column] * x[column];
        }
    }
    Floats to_floats() const {
        return Floats::each([&](int i) { return static_cast<float>(v[i]); });
    }
};

}  // namespace chatglm::generic
