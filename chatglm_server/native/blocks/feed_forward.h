// The gated feed-forward network (Shazeer 2020): down(silu(gate(x)) * up(x)).
#pragma once

#include <string>
#include <vector>

#include "blocks/linear.h"

namespace chatglm {

// out = silu(gate) * up. A row holds `size` values of the gate, then those of up.
void gate(Compute &compute, const float *gates_and_ups, int rows, int size, float *out);

class FeedForward {
  public:
    // Buffers of a pass; layers share them.
    struct Scratch {
        std::vector<float> wide, gated;
    };

    // Plans PREFIXffn_downSUFFIX, and PREFIXffn_gateSUFFIX and PREFIXffn_upSUFFIX, or the latter alone if it holds the
    // rows of both, those of the gate first. Throws like WeightPlan::matrix.
    void plan(WeightPlan &plan, const std::string &prefix, int hidden_size, int ffn_size,
              const std::string &suffix = "");

    // x and out are (tokens, hidden_size).
    void run(Compute &compute, Scratch &scratch, const float *x, int tokens, float *out) const;

  private:
    Linear gate_and_up_, down_;
};

}  // namespace chatglm
