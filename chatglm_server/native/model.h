// The network of ChatGLM2, ChatGLM3 and GLM-4 and the caches of its sequences.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels.h"
#include "memory.h"
#include "thread_pool.h"
#include "weights.h"

namespace chatglm {

struct Config {
    int vocab, hidden, heads, kv_heads, layers, ffn;
    int context;  // tokens of a sequence
    float epsilon, theta;

    int head() const { return hidden / heads; }
    int qkv() const { return hidden + 2 * head() * kv_heads; }
};

// Where a tensor lies in the model file.
struct FileTensor {
    std::string name;
    Type type;
    int64_t rows, columns;  // a vector has one row
    uint64_t offset, bytes;
};

// One token to be read: it goes to `position` of `sequence`, whose earlier positions are in the cache or earlier in the
// same pass.
struct Row {
    int sequence, position, token;
};

class Model {
  public:
    // Reads and repacks the weights. Throws std::runtime_error if the file lacks something.
    Model(const std::string &path, const Config &config, const std::vector<FileTensor> &tensors, int sequences,
          int threads, const Kernels &kernels);
    ~Model();

    // Reads `rows` in one pass and writes the logits, `vocab` floats each, that follow those whose index is in
    // `wanted`.
    void forward(const std::vector<Row> &rows, const std::vector<int> &wanted, float *logits);

    // Makes the first `count` positions of sequence `to` those of sequence `from`.
    void copy(int from, int to, int count);

    // Gives back the memory of a sequence's cache.
    void forget(int sequence);

    const Config &config() const { return config_; }
    int sequences() const { return static_cast<int>(caches_.size()); }
    const Kernels &kernels() const { return kernels_; }

  private:
    struct Layer {
        const float *input_norm, *qkv_bias, *post_norm;
        Matrix qkv, dense, up, down;
    };
    struct Scratch;

    size_t cache_head_halves() const;  // of the keys, and of the values, of one head
    CacheHead cache(int sequence, int layer, int kv_head) const;
    void layer(int index, const std::vector<Row> &rows, Scratch &scratch);
    void attention(int index, const std::vector<Row> &rows, Scratch &scratch);
    void multiply(const Matrix &weights, const float *x, int tokens, float *out, Scratch &scratch);
    void normalize(const float *x, const float *weight, int tokens, float *out);

    Config config_;
    const Kernels &kernels_;
    ThreadPool pool_;
    Memory weights_;
    const uint8_t *embedding_ = nullptr;  // as in the file
    Type embedding_type_ = Type::F32;
    std::vector<Layer> layers_;
    const float *final_norm_ = nullptr;
    Matrix output_;
    std::vector<Memory> caches_;  // one for each sequence
    std::unique_ptr<Scratch> scratch_;
    std::vector<float> cosines_, sines_;  // (context, head / 4)
};

}  // namespace chatglm
