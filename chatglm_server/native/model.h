// A network with its weights, and the keys and values of a number of slots.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "arch/network.h"
#include "compute.h"
#include "kv_cache.h"
#include "memory.h"
#include "spec.h"
#include "thread_pool.h"
#include "weights.h"

namespace chatglm {

// Throws std::invalid_argument, which says why, if the core cannot run a spec, and std::runtime_error if its files
// cannot be read. Reads no weights.
void check_spec(const ModelSpec &spec);

class Model {
  public:
    // Reads the weights. Each slot holds up to `context` positions. Throws like `check_spec` and `WeightPlan::read`.
    Model(std::shared_ptr<ThreadPool> pool, const ModelSpec &spec, int context, int slots, const Kernels &kernels,
          const Progress &progress);

    // Reads `rows` in one pass and writes the logits, `vocab_size` floats each, that follow those whose index is in
    // `wanted`. Throws std::invalid_argument if a row is outside the model, or two rows have the same place, and
    // std::bad_alloc.
    void forward(const std::vector<Row> &rows, const std::vector<int> &wanted, float *logits);

    // Makes the first `count` positions of slot `to` those of slot `from`; what else `to` held is lost. Throws
    // std::invalid_argument, std::bad_alloc.
    void copy(int from, int to, int count);

    // Gives back the memory of a slot's positions from `kept` on, rounded up to 16 and to pages. Throws
    // std::invalid_argument.
    void truncate(int slot, int kept);

    // Bytes that `read_cache` and `write_cache` move of so many positions. Throws std::invalid_argument unless these
    // are a multiple of 16 within the context.
    size_t cache_bytes(int positions) const;

    // Copies positions of a slot out of it, or into it; those behind them are undefined afterwards. The bytes are those
    // of the memory, and mean something to a model of the same weights, cache type and kernels only. Throw
    // std::invalid_argument for numbers that are not multiples of 16 within the context, and std::bad_alloc.
    void read_cache(int slot, int start, int count, uint8_t *out);
    void write_cache(int slot, int start, int count, const uint8_t *in);

    int vocab_size() const { return vocab_size_; }
    const Kernels &kernels() const { return compute_.kernels; }

  private:
    void check_rows(const std::vector<Row> &rows, const std::vector<int> &wanted) const;
    void check_piece(int slot, int start, int count) const;
    bool has_slot(int slot) const { return 0 <= slot && slot < cache_->slots(); }

    const int vocab_size_, context_;
    std::shared_ptr<ThreadPool> pool_;
    Compute compute_;
    std::unique_ptr<Network> network_;
    Memory weights_;
    std::unique_ptr<KVCache> cache_;
    std::mutex mutex_;  // callers take turns: a pass uses the network's own memory
};

}  // namespace chatglm
