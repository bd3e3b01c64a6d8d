// The means of the blocks of a network: threads, kernels, buffers.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "thread_pool.h"

namespace chatglm {

struct Compute {
    ThreadPool &pool;
    const Kernels &kernels;

    // Of quantized activations, see Activations; kept from one product to the next.
    std::vector<int8_t> codes{};
    std::vector<float> scales{};
    std::vector<ActivationSum> sums{}, halves{};
};

}  // namespace chatglm
