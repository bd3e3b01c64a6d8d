// Sixteen lanes in plain C++, for any processor: short loops over arrays, which compilers turn into vectors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/half.h"

namespace chatglm::generic {

// Small, because each further count of tokens takes this file seconds to compile.
constexpr int kTile = 2;         // tokens whose sums attention keeps in registers
constexpr int kProductTile = 1;  // tokens whose products are summed together

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
    static Floats load_bfloat(const uint16_t *p) {
        return each([&](int i) {
            const uint32_t bits = static_cast<uint32_t>(p[i]) << 16;
            float value;
            std::memcpy(&value, &bits, sizeof value);
            return value;
        });
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
    float largest() const { return *std::max_element(v, v + 16); }
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
    // rounded to whole numbers from -32767 to 32767, as words
    void store_words(int16_t *p) const {
        for (int i = 0; i < 16; ++i) {
            const float bounded = v[i] < 32767 ? v[i] : 32767.0f;  // also for NaN
            p[i] = static_cast<int16_t>(std::nearbyint(bounded > -32767 ? bounded : -32767.0f));
        }
    }
};

// 16 integer lanes, one for each row.
struct Ints {
    int32_t v[16];

    template <class F>
    static Ints each(F f) {
        Ints made;
        for (int i = 0; i < 16; ++i) made.v[i] = static_cast<int32_t>(f(i));
        return made;
    }
    // dwords
    static Ints load(const uint8_t *p) {
        Ints made;
        std::memcpy(made.v, p, sizeof made.v);
        return made;
    }
    // unsigned words
    static Ints load_words(const uint8_t *p) {
        return each([&](int i) { return p[2 * i] | p[2 * i + 1] << 8; });
    }
    // (lane >> Shift) & Mask; to the left if Shift is negative
    template <int Shift, int Mask>
    Ints field() const {
        return each([&](int i) {
            const auto lane = static_cast<uint32_t>(v[i]);
            return (Shift < 0 ? lane << (Shift < 0 ? -Shift : 0) : lane >> (Shift < 0 ? 0 : Shift)) & Mask;
        });
    }
    // byte Place of each lane, with its sign
    template <int Place>
    Ints signed_byte() const {
        return each([&](int i) { return static_cast<int8_t>(static_cast<uint32_t>(v[i]) >> (8 * Place)); });
    }
    friend Ints operator|(const Ints &x, const Ints &y) {
        return each([&](int i) { return x.v[i] | y.v[i]; });
    }
    Floats to_floats() const {
        return Floats::each([&](int i) { return static_cast<float>(v[i]); });
    }
};

// 64 unsigned codes, 16 rows x 4 columns: v[4 * row + column].
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
    // (code >> Shift) & Mask; to the left if Shift is negative. Mask has no bit that would come from another code.
    template <int Shift, int Mask>
    Codes field() const {
        return each([&](int i) {
            return (Shift < 0 ? v[i] << (Shift < 0 ? -Shift : 0) : v[i] >> (Shift < 0 ? 0 : Shift)) & Mask;
        });
    }
    // code >> places
    Codes shifted(int places) const {
        return each([&](int i) { return v[i] >> places; });
    }
    // 16 where a bit is set: bit Place + k of a row's dword for its code k
    template <int Place>
    Codes fifth_bits() const {
        return each([&](int i) { return (v[i / 4 * 4 + Place / 8] >> (Place % 8 + i % 4) & 1) << 4; });
    }
    // table[code] for codes below 16
    Codes looked_up(const uint8_t *table) const {
        return each([&](int i) { return table[v[i]]; });
    }
    // with the highest bit flipped: adds 128 to signed codes
    Codes flipped() const {
        return each([&](int i) { return v[i] ^ 128; });
    }
    friend Codes operator|(const Codes &x, const Codes &y) {
        return each([&](int i) { return x.v[i] | y.v[i]; });
    }
    void store(uint8_t *p) const { std::memcpy(p, v, sizeof v); }
};

// Sums of the products of codes, of 16 rows x some columns, and activations; see Form in unpack.inc.
template <int Bits, int Zero>
struct Products {
    static constexpr int kBytes = 64;  // of 16 rows x 4 columns in a tile
    using Weights = Codes;

    static void store(const Codes &codes, uint8_t *to) { codes.store(to); }
    static Weights load(const uint8_t *from) { return Codes::load(from); }
    static Weights weights(const Codes &codes) { return codes; }

    Ints sums;

    // -Zero times the activations' sum; see ActivationSum
    static Products start(const int16_t *negated) {
        return {Ints::each([&](int) { return Zero * (negated[0] + negated[1]); })};
    }
    // adds the products of each row's four codes and the four activations at x
    void add(const Weights &w, const int8_t *x) {
        for (int row = 0; row < 16; ++row) {
            for (int column = 0; column < 4; ++column) sums.v[row] += w.v[4 * row + column] * x[column];
        }
    }
    Floats to_floats() const { return sums.to_floats(); }
};

// 16 lanes of two whole numbers.
struct Pairs {
    int16_t v[32];

    static Pairs load(const int16_t *p) {
        Pairs made;
        std::memcpy(made.v, p, sizeof made.v);
        return made;
    }
    // Stores x and y in the order of values, see latents_as_values.
    static void store_as_values(const Pairs &x, const Pairs &y, int16_t *to, size_t stride) {
        for (int row = 0; row < 8; ++row, to += stride) {
            for (const Pairs *pairs : {&x, &y}) {
                const int16_t *const from = pairs->v + 4 * row;
                const int16_t ordered[4] = {from[0], from[2], from[1], from[3]};
                std::memcpy(to + (pairs == &y ? 4 : 0), ordered, sizeof ordered);
            }
        }
    }
};

// 16 sums of products of pairs. Broken weights can make them overflow, which is defined for unsigned numbers only.
struct PairSums {
    using Lanes = Pairs;
    using Code = int16_t;
    using Weight = int16_t;
    static constexpr int kCodes = 2;  // of a lane
    static constexpr int kZero = 0;   // what keys have in the place of 0

    uint32_t v[16];

    static PairSums broadcast(int32_t x) {
        PairSums made;
        for (uint32_t &lane : made.v) lane = static_cast<uint32_t>(x);
        return made;
    }
    // adds the products of each lane's pair and the two factors at x
    void add(const Pairs &pairs, const int16_t *x) {
        for (int i = 0; i < 16; ++i) {
            v[i] += static_cast<uint32_t>(pairs.v[2 * i] * x[0] + pairs.v[2 * i + 1] * x[1]);
        }
    }
    Floats to_floats() const {
        return Floats::each([&](int i) { return static_cast<float>(static_cast<int32_t>(v[i])); });
    }
};

using NarrowSums = PairSums;  // for caches of one byte a code

}  // namespace chatglm::generic
