#include "blocks/feed_forward.h"

namespace chatglm {

void FeedForward::plan(WeightPlan &plan, const std::string &prefix, int hidden_size, int ffn_size) {
    if (plan.has(prefix + "ffn_gate.weight")) {
        gate_and_up_.plan(plan, prefix + "ffn_gate", ffn_size, hidden_size);
        gate_and_up_.plan(plan, prefix + "ffn_up", ffn_size, hidden_size);
    } else {
        gate_and_up_.plan(plan, prefix + "ffn_up", 2 * ffn_size, hidden_size);
    }
    down_.plan(plan, prefix + "ffn_down", hidden_size, ffn_size);
}

void FeedForward::run(Compute &compute, Scratch &scratch, const float *x, int tokens, float *out) const {
    const size_t both = gate_and_up_.rows(), size = both / 2;
    scratch.wide.resize(tokens * both);
    scratch.gated.resize(tokens * size);
    gate_and_up_.run(compute, x, tokens, scratch.wide.data());
    compute.pool.run(tokens, 1, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            const float *gate = &scratch.wide[t * both];
            compute.kernels.gate(gate, gate + size, static_cast<int>(size), &scratch.gated[t * size]);
        }
    });
    down_.run(compute, scratch.gated.data(), tokens, out);
}

}  // namespace chatglm
