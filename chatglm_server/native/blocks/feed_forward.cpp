#include "blocks/feed_forward.h"

namespace chatglm {

void gate(Compute &compute, const float *gates_and_ups, int rows, int size, float *out) {
    compute.pool.run(rows, 1, [&](int begin, int end, int) {
        for (int row = begin; row < end; ++row) {
            const float *gate = gates_and_ups + size_t(row) * 2 * size;
            compute.kernels.gate(gate, gate + size, size, out + size_t(row) * size);
        }
    });
}

void FeedForward::plan(WeightPlan &plan, const std::string &prefix, int hidden_size, int ffn_size,
                       const std::string &suffix) {
    if (plan.has(prefix + "ffn_gate" + suffix + ".weight")) {
        gate_and_up_.plan(plan, prefix + "ffn_gate" + suffix, ffn_size, hidden_size);
        gate_and_up_.plan(plan, prefix + "ffn_up" + suffix, ffn_size, hidden_size);
    } else {
        gate_and_up_.plan(plan, prefix + "ffn_up" + suffix, 2 * ffn_size, hidden_size);
    }
    down_.plan(plan, prefix + "ffn_down" + suffix, hidden_size, ffn_size);
}

void FeedForward::run(Compute &compute, Scratch &scratch, const float *x, int tokens, float *out) const {
    const size_t both = gate_and_up_.rows(), size = both / 2;
    scratch.wide.resize(tokens * both);
    scratch.gated.resize(tokens * size);
    gate_and_up_.run(compute, x, tokens, scratch.wide.data());
    gate(compute, scratch.wide.data(), tokens, static_cast<int>(size), scratch.gated.data());
    down_.run(compute, scratch.gated.data(), tokens, out);
}

}  // namespace chatglm
