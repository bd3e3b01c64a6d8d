// The network of ChatGLM2, ChatGLM3 and GLM-4 and the caches of its sequences.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels.h"
#include "memory.h"
#include "thread_pool.h"
#include "weights.h"

namespace chatglm {

// One token to be read: it goes to `position` of `sequence`, whose earlier positions are in the cache or in the same
// pass.
struct Row {
    int sequence, position, token;
};

class Model {
  public:
    // Reads the weights. Throws std::runtime_error or std::invalid_argument if they are not those of `config`,
    // std::bad_alloc if there is no memory for them or for the caches.
    Model(const std::string &path, const Config &config, const std::vector<FileTensor> &tensors, int sequences,
          int threads, const Kernels &kernels);
    ~Model();

    // Reads `rows` in one pass and writes the logits, `vocab` floats each, that follow those whose index is in
    // `wanted`. Throws std::invalid_argument if a row is outside the model, or there twice.
    void forward(const std::vector<Row> &rows, const std::vector<int> &wanted, float *logits);

    // Makes the first `count` positions of sequence `to` those of sequence `from`; what `to` held is lost. Throws
    // std::invalid_argument.
    void copy(int from, int to, int count);

    // Gives back the memory of a sequence's cache.
    void forget(int sequence);

    const Config &config() const { return config_; }
    int sequences() const { return static_cast<int>(caches_.size()); }
    const Kernels &kernels() const { return kernels_; }

  private:
    struct Scratch;

    void check(const std::vector<Row> &rows, const std::vector<int> &wanted) const;
    size_t cache_head_halves() const;  // of the keys, and of the values, of one head
    CacheHead cache(int sequence, int layer, int kv_head) const;
    void layer(int index, const std::vector<Row> &rows, Scratch &scratch);
    void rotate_and_append(int index, const std::vector<Row> &rows, Scratch &scratch);
    void attention(int index, const std::vector<Row> &rows, Scratch &scratch);
    void multiply(const Matrix &weights, const float *x, int tokens, float *out, Scratch &scratch);
    void normalize(const float *x, const float *weight, int tokens, float *out);

    Config config_;
    const Kernels &kernels_;
    ThreadPool pool_;
    Weights weights_;
    std::vector<Memory> caches_;      // one for each sequence: (layers, kv_heads, keys and values), see CacheHead
    std::vector<float> frequencies_;  // of the rotary embedding, (head / 4)
    std::unique_ptr<Scratch> scratch_;
    std::mutex mutex_;  // callers take turns: what a pass works with is the model's
};

}  // namespace chatglm
