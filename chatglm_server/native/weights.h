// The weights of a network, read from a chatglm.cpp file into the layout of the kernels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "matrix.h"
#include "memory.h"
#include "thread_pool.h"

namespace chatglm {

struct Config {
    int vocab, hidden, heads, kv_heads, layers, ffn;
    int context;  // tokens of a sequence
    float epsilon, theta;

    int head() const { return hidden / heads; }
    int qkv() const { return hidden + 2 * head() * kv_heads; }

    // Throws std::invalid_argument unless the core can run it. Within its limits no product of sizes overflows.
    void check() const;
};

// Where a tensor lies in the file. Nothing here is trusted.
struct FileTensor {
    std::string name;
    Type type;
    int64_t rows, columns;  // a vector has one row
    uint64_t offset, bytes;
};

struct Layer {
    const float *input_norm, *qkv_bias, *post_norm;
    Matrix qkv, dense, up, down;  // `up` holds the gate's rows first, then as many of the value
};

struct Weights {
    Memory memory;             // everything below points into it
    const uint8_t *embedding;  // (vocab, hidden), as in the file
    Type embedding_type;
    std::vector<Layer> layers;
    const float *final_norm;
    Matrix output;
};

// Reads and packs what `config` needs, piece by piece: besides the weights themselves it takes a megabyte or so for
// each thread. Throws std::runtime_error or std::invalid_argument if the file is not what `tensors` says, or lacks
// something.
Weights read_weights(const std::string &path, const Config &config, const std::vector<FileTensor> &tensors,
                     ThreadPool &pool);

}  // namespace chatglm
