// Products of rows of activations with a stack of matrices of one shape: one for each expert, or for each head.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "compute.h"
#include "memory.h"
#include "weights.h"

namespace chatglm {

// Like Linear, a stack may be stored as several tensors, each of its own type: a matrix has the rows of all of them.
class Stack {
  public:
    Stack() = default;
    Stack(const Stack &) = delete;
    Stack &operator=(const Stack &) = delete;

    // Appends NAME.weight, (count, rows, columns). Throws like WeightPlan::stack.
    void plan(WeightPlan &plan, const std::string &name, int count, int rows, int columns);

    // Appends matrices of float16 that `values` gives, (rows, columns) floats of one at a time. `rows` must be a
    // multiple of kRows. Throws std::bad_alloc.
    void store(int count, int rows, int columns, const std::function<void(int matrix, float *to)> &values);

    int rows() const { return rows_; }

    // out[i * stride + row] = matrix m's row . x[i], with m so that first[m] <= i < first[m + 1]. x is (first.back(),
    // columns). Each matrix is read once for up to kMostTokens rows of x.
    void run(Compute &compute, const float *x, const std::vector<int> &first, float *out, size_t stride) const;

  private:
    struct Part {
        Matrix weights;  // of all matrices, one below the other
        int rows = 0, first_row = 0;
        Memory own;  // of weights that no file holds in this form
    };

    std::deque<Part> parts_;  // a deque: its elements do not move, for the plan points to them
    int rows_ = 0;
};

}  // namespace chatglm
