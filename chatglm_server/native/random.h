// Random numbers without state: the number depends on what it is for, and not on how many were drawn before.
#pragma once

#include <array>
#include <cstdint>

namespace chatglm {

// Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
inline std::array<uint64_t, 4> philox(std::array<uint64_t, 4> counter, std::array<uint64_t, 2> key) {
    __extension__ using Wide = unsigned __int128;
    for (int round = 0; round < 10; ++round) {
        const Wide first = Wide{0xD2E7470EE14C6C93} * counter[0], second = Wide{0xCA5A826395121157} * counter[2];
        counter = {static_cast<uint64_t>(second >> 64) ^ counter[1] ^ key[0], static_cast<uint64_t>(second),
                   static_cast<uint64_t>(first >> 64) ^ counter[3] ^ key[1], static_cast<uint64_t>(first)};
        key = {key[0] + 0x9E3779B97F4A7C15, key[1] + 0xBB67AE8584CAA73B};
    }
    return counter;
}

// In [0, 1), in steps of 2^-53: the number for the token at `position` of the answer number `answer` to a request.
inline double uniform(uint64_t seed, uint64_t answer, uint64_t position) {
    return static_cast<double>(philox({position, 0, 0, 0}, {seed, answer})[0] >> 11) * 0x1p-53;
}

}  // namespace chatglm
