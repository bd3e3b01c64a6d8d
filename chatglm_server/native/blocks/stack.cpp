#include "blocks/stack.h"

#include <algorithm>

#include "blocks/activations.h"
#include "kernels/half.h"

namespace chatglm {
namespace {

// Some groups of rows of one matrix of a part, and the activations that they are multiplied with.
struct Product {
    int matrix, token, tokens, begin, end;
};

}  // namespace

void Stack::plan(WeightPlan &plan, const std::string &name, int count, int rows, int columns) {
    Part &part = parts_.emplace_back();
    plan.stack(part.weights, name + ".weight", count, rows, columns);
    part.rows = rows;
    part.first_row = rows_;
    rows_ += rows;
}

void Stack::store(int count, int rows, int columns, const std::function<void(int, float *)> &values) {
    Part &part = parts_.emplace_back();
    part.weights = {nullptr, Type::F16, count * rows, columns};
    part.rows = rows;
    part.first_row = rows_;
    part.own = Memory(part.weights.bytes(), Pages::Huge);
    part.weights.data = part.own.data();
    rows_ += rows;
    const size_t size = size_t(rows) * columns, group_bytes = part.weights.group_bytes();
    const int groups = rows / kRows;
    std::vector<float> floats(size);
    std::vector<uint16_t> halves(size);
    for (int m = 0; m < count; ++m) {
        values(m, floats.data());
        std::transform(floats.begin(), floats.end(), halves.begin(), float_to_half);
        for (int group = 0; group < groups; ++group) {
            const auto *from = reinterpret_cast<const uint8_t *>(halves.data()) + group * group_bytes;
            pack_group(part.weights, from, part.own.data() + (m * groups + group) * group_bytes);
        }
    }
}

void Stack::run(Compute &compute, const float *x, const std::vector<int> &first, float *out, size_t stride) const {
    const int matrices = static_cast<int>(first.size()) - 1;
    const bool quantized = std::any_of(parts_.begin(), parts_.end(),
                                       [](const Part &part) { return layout_of(part.weights.type).quantized; });
    const Activations made = activations(compute, quantized, x, first.back(), parts_.front().weights.columns);
    int used = 0;
    for (int m = 0; m < matrices; ++m) used += first[m] < first[m + 1];
    std::vector<Product> products;
    for (const Part &part : parts_) {
        const int groups = part.rows / kRows;
        const int piece = std::clamp(used * groups / (compute.pool.threads() * 8), 1, groups);
        products.clear();
        for (int m = 0; m < matrices; ++m) {
            for (int token = first[m]; token < first[m + 1]; token += kMostTokens) {
                const int tokens = std::min(kMostTokens, first[m + 1] - token);
                for (int begin = 0; begin < groups; begin += piece) {
                    products.push_back({m, token, tokens, begin, std::min(begin + piece, groups)});
                }
            }
        }
        compute.pool.run(static_cast<int>(products.size()), 1, [&](int begin, int end, int) {
            for (int i = begin; i < end; ++i) {
                const Product &product = products[i];
                Matrix weights = part.weights;
                weights.data = part.weights.group(product.matrix * groups);
                weights.rows = part.rows;
                compute.kernels.multiply(weights, made.from(product.token), product.tokens, product.begin, product.end,
                                         out + product.token * stride + part.first_row, stride);
            }
        });
    }
}

}  // namespace chatglm
