#include "model.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "arch/registry.h"

namespace chatglm {
namespace {

std::unique_ptr<Network> make_network(const ModelSpec &spec, WeightPlan &plan, Compute &compute) {
    std::string known;
    for (const Architecture &architecture : architectures()) {
        known += (known.empty() ? "" : ", ") + std::string(architecture.name);
        if (architecture.name != spec.architecture) continue;
        spec.check();
        std::unique_ptr<Network> network = architecture.make(spec, plan, compute);
        plan.check_complete();
        return network;
    }
    throw std::invalid_argument("the architecture is " + spec.architecture + "; the core runs " + known);
}

void check_count(const char *name, int value, int most) {
    if (value < 1 || value > most) {
        throw std::invalid_argument(std::string(name) + " is not between 1 and " + std::to_string(most));
    }
}

}  // namespace

void check_spec(const ModelSpec &spec) {
    ThreadPool pool(1);
    Compute compute{pool, kGeneric};
    WeightPlan plan(spec);
    make_network(spec, plan, compute);
}

Model::Model(std::shared_ptr<ThreadPool> pool, const ModelSpec &spec, int context, int slots, const Kernels &kernels,
             const Progress &progress)
    : vocab_size_(spec.vocab_size), context_(context), pool_(std::move(pool)), compute_{*pool_, kernels} {
    check_count("context", context, 1 << 24);
    check_count("slots", slots, 4096);
    WeightPlan plan(spec);
    network_ = make_network(spec, plan, compute_);
    weights_ = plan.read(*pool_, progress);
    cache_ = std::make_unique<KVCache>(network_->cache_shape(), slots, context);
}

void Model::truncate(int slot, int kept) {
    if (!has_slot(slot) || kept < 0 || kept > context_) {
        throw std::invalid_argument("a slot or a count is outside the model");
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    cache_->truncate(slot, kept);
}

void Model::copy(int from, int to, int count) {
    if (!has_slot(from) || !has_slot(to) || count < 0 || count > context_) {
        throw std::invalid_argument("a slot or a count is outside the model");
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    cache_->copy(from, to, count, *pool_);
}

size_t Model::cache_bytes(int positions) const {
    check_piece(0, 0, positions);
    return cache_->bytes(positions);
}

void Model::read_cache(int slot, int start, int count, uint8_t *out) {
    check_piece(slot, start, count);
    const std::lock_guard<std::mutex> lock(mutex_);
    cache_->reserve(slot);
    cache_->read(slot, start, count, out, *pool_);
}

void Model::write_cache(int slot, int start, int count, const uint8_t *in) {
    check_piece(slot, start, count);
    const std::lock_guard<std::mutex> lock(mutex_);
    cache_->reserve(slot);
    cache_->write(slot, start, count, in, *pool_);
}

void Model::check_piece(int slot, int start, int count) const {
    if (!has_slot(slot) || start < 0 || count < 0 || start > context_ || count > context_ - start) {
        throw std::invalid_argument("a slot or a count is outside the model");
    }
    if (start % kPositions != 0 || count % kPositions != 0) {
        throw std::invalid_argument("a start or a count is not a multiple of " + std::to_string(kPositions));
    }
}

void Model::check_rows(const std::vector<Row> &rows, const std::vector<int> &wanted) const {
    std::vector<std::pair<int, int>> places;
    for (const Row &row : rows) {
        if (!has_slot(row.slot) || row.position < 0 || row.position >= context_ || row.token < 0 ||
            row.token >= vocab_size_) {
            throw std::invalid_argument("a row is outside the model");
        }
        places.emplace_back(row.slot, row.position);
    }
    std::sort(places.begin(), places.end());
    if (std::adjacent_find(places.begin(), places.end()) != places.end()) {
        throw std::invalid_argument("two rows have the same place");
    }
    for (int index : wanted) {
        if (index < 0 || index >= static_cast<int>(rows.size())) throw std::invalid_argument("no such row");
    }
}

void Model::forward(const std::vector<Row> &rows, const std::vector<int> &wanted, float *logits) {
    check_rows(rows, wanted);
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Row &row : rows) cache_->reserve(row.slot);
    network_->forward(rows, wanted, *cache_, logits);
}

}  // namespace chatglm
