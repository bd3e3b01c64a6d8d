// The interface of a network. Each has a file of its own beside this one, and a line in registry.cpp.
#pragma once

#include <memory>
#include <vector>

#include "compute.h"
#include "kv_cache.h"
#include "weights.h"

namespace chatglm {

// One token to be read: it goes to `position` of `slot`, whose earlier positions are in the cache or in the same pass.
struct Row {
    int slot, position, token;
};

class Network {
  public:
    virtual ~Network() = default;

    virtual CacheShape cache_shape() const = 0;

    // Reads `rows` in one pass, puts their keys and values into the cache, and writes the logits, `vocab_size` floats
    // each, that follow those whose index is in `wanted`. Indices are checked, slots reserved, no place is there twice.
    virtual void forward(const std::vector<Row> &rows, const std::vector<int> &wanted, KVCache &cache,
                         float *logits) = 0;
};

// Makes a network from a spec that is checked, and plans its weights, which are read later.
using MakeNetwork = std::unique_ptr<Network>(const ModelSpec &spec, WeightPlan &plan, Compute &compute);

}  // namespace chatglm
