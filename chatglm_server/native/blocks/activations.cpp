#include "blocks/activations.h"

namespace chatglm {

Activations activations(Compute &compute, bool quantized, const float *x, int tokens, int columns) {
    if (!quantized) return {nullptr, nullptr, nullptr, nullptr, x, columns, tokens, 0};
    const size_t values = size_t(tokens) * columns;
    compute.codes.resize(values);
    compute.scales.resize(values / 32);
    compute.sums.resize(values / 32);
    compute.halves.resize(values / 16);
    const Activations all{
        compute.codes.data(), compute.scales.data(), compute.sums.data(), compute.halves.data(), x, columns, tokens, 0};
    compute.pool.run(tokens, 8,
                     [&](int begin, int end, int) { compute.kernels.quantize(end - begin, all.from(begin)); });
    return all;
}

}  // namespace chatglm
