// Products of rows of activations with a matrix of weights.
#pragma once

#include <cstddef>
#include <deque>
#include <string>

#include "compute.h"
#include "weights.h"

namespace chatglm {

// out[t * weights.rows + row] = weights[row] . x[t] for `tokens` rows x.
void multiply(Compute &compute, const Matrix &weights, const float *x, int tokens, float *out);

// out = x W^T + b. W may be stored as several tensors, each of its own type, whose rows follow each other: queries,
// keys and values, or gate and up. Each may have a bias or none.
class Linear {
  public:
    Linear() = default;
    Linear(const Linear &) = delete;
    Linear &operator=(const Linear &) = delete;

    // Appends NAME.weight, and NAME.bias if the spec has it. Throws like WeightPlan::matrix.
    void plan(WeightPlan &plan, const std::string &name, int rows, int columns);

    int rows() const { return rows_; }

    // x is (tokens, columns), out (tokens, rows).
    void run(Compute &compute, const float *x, int tokens, float *out) const;

  private:
    struct Part {
        Matrix weights;
        const float *bias = nullptr;
        int first_row = 0;
    };

    std::deque<Part> parts_;  // a deque: its elements do not move, for the plan points to them
    int rows_ = 0;
};

}  // namespace chatglm
