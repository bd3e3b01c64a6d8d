#include "loaded_matrix.h"

#include <stdexcept>
#include <utility>

#include "blocks/linear.h"
#include "weights.h"

namespace chatglm {

LoadedMatrix::LoadedMatrix(std::shared_ptr<ThreadPool> pool, const TensorSpec &tensor, const Kernels &kernels)
    : pool_(std::move(pool)), compute_{*pool_, kernels} {
    constexpr int64_t most = 1 << 24;
    const std::vector<int64_t> &shape = tensor.shape;
    if (shape.size() != 2 || shape[0] < 1 || shape[0] > most || shape[1] < 1 || shape[1] > most) {
        throw std::invalid_argument("the shape is not two numbers from 1 to " + std::to_string(most));
    }
    ModelSpec spec{};
    spec.tensors.emplace("matrix", tensor);
    WeightPlan plan(spec);
    plan.matrix(weights_, "matrix", static_cast<int>(shape[0]), static_cast<int>(shape[1]));
    memory_ = plan.read(*pool_, {});
}

void LoadedMatrix::row(int index, float *out) const {
    if (index < 0 || index >= rows()) throw std::invalid_argument("no such row");
    decode_row(weights_, index, out);
}

void LoadedMatrix::multiply(const float *x, int tokens, float *out) {
    const std::lock_guard<std::mutex> lock(mutex_);
    chatglm::multiply(compute_, weights_, x, tokens, out);
}

}  // namespace chatglm
