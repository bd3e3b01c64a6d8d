#include "blocks/rotary.h"

#include <cmath>

namespace chatglm {

Rotary::Rotary(int size, RotaryLayout layout, float theta) : layout_(layout) {
    const int pairs = size / 2;
    for (int pair = 0; pair < pairs; ++pair) {
        frequencies_.push_back(std::pow(theta, -static_cast<float>(pair) / static_cast<float>(pairs)));
    }
}

void Rotary::prepare(Compute &compute, const std::vector<Row> &rows) {
    const size_t pairs = frequencies_.size();
    cosines_.resize(rows.size() * pairs);
    sines_.resize(rows.size() * pairs);
    compute.pool.run(static_cast<int>(rows.size()), 8, [&](int begin, int end, int) {
        for (int row = begin; row < end; ++row) {
            for (size_t pair = 0; pair < pairs; ++pair) {
                const float angle = static_cast<float>(rows[row].position) * frequencies_[pair];
                cosines_[row * pairs + pair] = std::cos(angle);
                sines_[row * pairs + pair] = std::sin(angle);
            }
        }
    });
}

void Rotary::rotate(int row, float *head) const {
    const size_t pairs = frequencies_.size();
    const float *cosines = &cosines_[row * pairs], *sines = &sines_[row * pairs];
    if (layout_ == RotaryLayout::Interleaved) {
        for (size_t pair = 0; pair < pairs; ++pair) {
            const float even = head[2 * pair], odd = head[2 * pair + 1];
            head[2 * pair] = even * cosines[pair] - odd * sines[pair];
            head[2 * pair + 1] = odd * cosines[pair] + even * sines[pair];
        }
    } else {
        for (size_t pair = 0; pair < pairs; ++pair) {
            const float low = head[pair], high = head[pair + pairs];
            head[pair] = low * cosines[pair] - high * sines[pair];
            head[pair + pairs] = high * cosines[pair] + low * sines[pair];
        }
    }
}

}  // namespace chatglm
