#include "logits_row.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace chatglm {
namespace {

constexpr int kBlock = 32;
constexpr int kLanes = 4;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

using Floats = float __attribute__((vector_size(16)));
using Ints = int32_t __attribute__((vector_size(16)));
using Doubles = double __attribute__((vector_size(32)));

inline Floats load(const float *x) {
    Floats lanes;
    std::memcpy(&lanes, x, sizeof lanes);
    return lanes;
}

// For each value of four mask bits, what makes the logits of the others minus infinity (or NaN) when it is added.
struct Exclusion {
    Floats of[1 << kLanes];
    constexpr Exclusion() : of{} {
        for (int bits = 0; bits < 1 << kLanes; ++bits) {
            const float inf = kMinusInfinity;
            of[bits] = Floats{bits & 1 ? 0 : inf, bits & 2 ? 0 : inf, bits & 4 ? 0 : inf, bits & 8 ? 0 : inf};
        }
    }
};
const Exclusion kExclusion;

inline Floats load(const float *x, uint32_t bits) { return load(x) + kExclusion.of[bits & ((1 << kLanes) - 1)]; }

// e^x for x <= 0, within 2e-7 of itself; 0 for less than -80, and for NaN. Made of additions and multiplications that
// give the same bits on every processor, which std::exp does not.
inline Floats exponential(Floats x) {
    const Floats least = Floats{} - 80, zero = Floats{};
    const Ints kept = x > least;
    x = kept ? x : least;
    const Floats shift = zero + 12582912.0F;  // 1.5 * 2^23: adding it rounds to whole numbers
    const Floats whole = (x * 1.44269504F + shift) - shift;
    const Floats r = (x - whole * 0.693359375F) + whole * 2.12194440e-4F;  // less whole * ln 2, in two parts
    Floats power = zero + 1.0F / 720;                                      // Taylor's series: |r| is at most ln 2 / 2
    for (const float factor : {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F}) power = power * r + factor;
    const Ints exponent = (__builtin_convertvector(whole, Ints) + 127) << 23;
    Floats scale;
    std::memcpy(&scale, &exponent, sizeof scale);
    return kept ? power * scale : zero;
}

// Adds the weights of four logits to `lanes`; `one` is the weight of the largest.
inline void add_weights(Floats logits, float largest, float temperature, double one, Doubles &lanes) {
    const Doubles exact = __builtin_convertvector(exponential((logits - largest) / temperature), Doubles) * one;
    lanes += (exact + 0x1p52) - 0x1p52;  // rounds
}

inline double sum(const Doubles &x) { return (x[0] + x[1]) + (x[2] + x[3]); }

float largest_of(const float *x, uint32_t bits) {
    Floats most = Floats{} + kMinusInfinity;
    if (bits == ~uint32_t{0}) {
        for (int i = 0; i < kBlock; i += kLanes) {
            const Floats lanes = load(x + i);
            most = lanes > most ? lanes : most;  // NaN is not
        }
    } else {
        for (int i = 0; i < kBlock; i += kLanes, bits >>= kLanes) {
            const Floats lanes = load(x + i, bits);
            most = lanes > most ? lanes : most;
        }
    }
    return std::max(std::max(most[0], most[1]), std::max(most[2], most[3]));
}

}  // namespace

template <class Visit>
void LogitsRow::each_allowed(int block, Visit visit) const {
    for (uint32_t bits = allowed(block); bits != 0; bits &= bits - 1) {
        const int token = block * kBlock + __builtin_ctz(bits);
        visit(token, logits_[token] > kMinusInfinity ? logits_[token] : kMinusInfinity);  // NaN, too
    }
}

LogitsRow::LogitsRow(const float *logits, int vocab, const uint32_t *mask, Scratch &scratch)
    : logits_(logits),
      vocab_(vocab),
      blocks_((vocab + kBlock - 1) / kBlock),
      mask_(mask),
      scratch_(scratch),
      largest_(kMinusInfinity),
      best_(-1) {
    int bits = 0;
    while (vocab >> bits != 0) ++bits;
    one_ = std::ldexp(1.0, 52 - bits);
    scratch_.largest.resize(blocks_);
    int best = -1;
    for (int block = 0; block < blocks_; ++block) {
        float &largest = scratch_.largest[block];
        largest = kMinusInfinity;
        const uint32_t bits_here = allowed(block);
        if (bits_here == 0) continue;
        if (best < 0) best = block;  // if every logit is minus infinity
        if ((block + 1) * kBlock <= vocab_) {
            largest = largest_of(logits_ + block * kBlock, bits_here);
        } else {
            each_allowed(block, [&](int, float logit) { largest = std::max(largest, logit); });
        }
        if (largest > largest_) largest_ = largest, best = block;
    }
    if (best < 0) return;
    each_allowed(best, [&](int token, float logit) {
        if (best_ < 0 && logit == largest_) best_ = token;
    });
}

uint32_t LogitsRow::allowed(int block) const {
    const int count = vocab_ - block * kBlock;
    const uint32_t inside = count < kBlock ? (uint32_t{1} << count) - 1 : ~uint32_t{0};
    return mask_ == nullptr ? inside : mask_[block] & inside;
}

double LogitsRow::weight(float logit, float temperature) const {
    Doubles lanes{};
    add_weights(Floats{} + logit, largest_, temperature, one_, lanes);
    return lanes[0];
}

double LogitsRow::total(float temperature) const {
    scratch_.sums.resize(blocks_);
    double all = 0;
    for (int block = 0; block < blocks_; ++block) {
        double &of_block = scratch_.sums[block];
        of_block = 0;
        uint32_t bits = allowed(block);
        const float *x = logits_ + block * kBlock;
        if (bits == ~uint32_t{0}) {
            Doubles lanes{};
            for (int i = 0; i < kBlock; i += kLanes) add_weights(load(x + i), largest_, temperature, one_, lanes);
            of_block = sum(lanes);
        } else if (bits != 0 && (block + 1) * kBlock <= vocab_) {
            Doubles lanes{};
            for (int i = 0; i < kBlock; i += kLanes, bits >>= kLanes) {
                add_weights(load(x + i, bits), largest_, temperature, one_, lanes);
            }
            of_block = sum(lanes);
        } else {
            each_allowed(block, [&](int, float logit) { of_block += weight(logit, temperature); });
        }
        all += of_block;
    }
    return all;
}

int LogitsRow::at(double point, float temperature) const {
    double passed = 0;
    int found = -1;
    for (int block = 0; block < blocks_ && found < 0; ++block) {
        if (point >= passed + scratch_.sums[block]) {
            passed += scratch_.sums[block];
            continue;
        }
        each_allowed(block, [&](int token, float logit) {
            passed += weight(logit, temperature);
            if (found < 0 && point < passed) found = token;
        });
    }
    return found < 0 ? best_ : found;
}

void LogitsRow::likeliest(size_t count, std::vector<Candidate> &found) const {
    found.clear();
    const size_t room = 2 * count + 2 * kBlock;  // for those that later ones may push out
    bool full = false;
    float least = kMinusInfinity;
    const auto push_out = [&] {
        std::nth_element(found.begin(), found.begin() + (count - 1), found.end(), likelier);
        found.resize(count);
        least = found.back().logit, full = true;
    };
    for (int block = 0; block < blocks_; ++block) {
        if (full && scratch_.largest[block] <= least) continue;
        each_allowed(block, [&](int token, float logit) {
            if (!full || logit > least) found.push_back({logit, token});  // an equal one comes after those found
        });
        if (found.size() + kBlock > room) push_out();
    }
    if (found.size() > count) push_out();
    std::sort(found.begin(), found.end(), [](const Candidate &a, const Candidate &b) { return a.token < b.token; });
}

void LogitsRow::at_least(float least, std::vector<Candidate> &found) const {
    found.clear();
    for (int block = 0; block < blocks_; ++block) {
        if (scratch_.largest[block] < least) continue;
        each_allowed(block, [&](int token, float logit) {
            if (!(logit < least)) found.push_back({logit, token});
        });
    }
}

double LogitsRow::weigh(float temperature, std::vector<Candidate> &candidates) const {
    double all = 0;
    for (size_t i = 0; i < candidates.size(); i += kLanes) {
        const int count = static_cast<int>(std::min<size_t>(kLanes, candidates.size() - i));
        Floats logits{};
        for (int lane = 0; lane < count; ++lane) logits[lane] = candidates[i + lane].logit;
        Doubles lanes{};
        add_weights(logits, largest_, temperature, one_, lanes);
        for (int lane = 0; lane < count; ++lane) all += candidates[i + lane].weight = lanes[lane];
    }
    return all;
}

}  // namespace chatglm
