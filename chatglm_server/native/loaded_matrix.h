// A matrix of weights alone, without a network: what it holds, and how fast a processor multiplies with it.
#pragma once

#include <memory>
#include <mutex>

#include "compute.h"
#include "kernels/matrix.h"
#include "memory.h"
#include "spec.h"
#include "thread_pool.h"

namespace chatglm {

// Calls may come from any thread; they take turns.
class LoadedMatrix {
  public:
    // Reads a tensor of two dimensions. Throws std::invalid_argument, std::runtime_error, std::bad_alloc.
    LoadedMatrix(std::shared_ptr<ThreadPool> pool, const TensorSpec &tensor, const Kernels &kernels);

    int rows() const { return weights_.rows; }
    int columns() const { return weights_.columns; }

    // Writes the `columns` values of a row. Throws std::invalid_argument if there is no such row.
    void row(int index, float *out) const;

    // x is (tokens, columns), out (tokens, rows).
    void multiply(const float *x, int tokens, float *out);

  private:
    std::shared_ptr<ThreadPool> pool_;
    Compute compute_;
    Matrix weights_;
    Memory memory_;
    std::mutex mutex_;
};

}  // namespace chatglm
