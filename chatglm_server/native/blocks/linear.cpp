#include "blocks/linear.h"

#include <algorithm>

#include "blocks/activations.h"

namespace chatglm {
namespace {

// `bias` may be null; `stride` is the distance of the rows of `out`.
void multiply(Compute &compute, const Matrix &weights, const float *bias, const Activations &x, int tokens, float *out,
              size_t stride) {
    const int piece = std::max(1, weights.groups() / (compute.pool.threads() * 8));
    for (int token = 0; token < tokens; token += kMostTokens) {
        const Activations part = x.from(token);
        const int count = std::min(kMostTokens, tokens - token);
        float *to = out + size_t(token) * stride;
        compute.pool.run(weights.groups(), piece, [&](int begin, int end, int) {
            compute.kernels.multiply(weights, part, count, begin, end, to, stride);
            if (bias == nullptr) return;
            const int last = std::min(end * kRows, weights.rows);
            for (int t = 0; t < count; ++t) {
                for (int row = begin * kRows; row < last; ++row) to[t * stride + row] += bias[row];
            }
        });
    }
}

}  // namespace

void multiply(Compute &compute, const Matrix &weights, const float *x, int tokens, float *out) {
    const bool quantized = layout_of(weights.type).quantized;
    multiply(compute, weights, nullptr, activations(compute, quantized, x, tokens, weights.columns), tokens, out,
             weights.rows);
}

void Linear::plan(WeightPlan &plan, const std::string &name, int rows, int columns) {
    Part &part = parts_.emplace_back();
    plan.matrix(part.weights, name + ".weight", rows, columns);
    plan.optional_vector(part.bias, name + ".bias", rows);
    part.first_row = rows_;
    rows_ += rows;
}

void Linear::run(Compute &compute, const float *x, int tokens, float *out) const {
    const bool quantized = std::any_of(parts_.begin(), parts_.end(),
                                       [](const Part &part) { return layout_of(part.weights.type).quantized; });
    const Activations made = activations(compute, quantized, x, tokens, parts_.front().weights.columns);
    for (const Part &part : parts_) {
        multiply(compute, part.weights, part.bias, made, tokens, out + part.first_row, rows_);
    }
}

}  // namespace chatglm
