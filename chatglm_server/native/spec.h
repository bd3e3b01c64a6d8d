// A model as Python describes it: the network's figures, and the place of each tensor. See model_files/spec.py, whose
// names these are. Nothing here is trusted until `check` and the WeightPlan have seen it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace chatglm {

// The values of a head that are rotated together: neighbours (0 1)(2 3)…, or those of the two halves (0 n)(1 n+1)….
enum class RotaryLayout { Interleaved, Halves };

// What a number of a key or value takes in the cache: two bytes, or one.
enum class CacheType { F16, Q8 };

constexpr int code_bytes(CacheType type) { return type == CacheType::Q8 ? 1 : 2; }

struct TensorSpec {
    std::filesystem::path path;
    int type;                    // ggml's number
    std::vector<int64_t> shape;  // rows first
    uint64_t offset, bytes;
};

// Of attention whose keys and values are made of one latent vector: the sizes of that, and of the queries' own.
struct LatentFigures {
    int query_rank, rank;
};

// Of a network's experts: how many a layer has and a token uses, their sizes, the layers before them that have none,
// and what the sum of a token's experts is multiplied by.
struct ExpertFigures {
    int count, used, ffn_size, shared_ffn_size, dense_layers;
    float scale;
};

struct ModelSpec {
    std::string architecture;
    int vocab_size, hidden_size, layers, heads, kv_heads, key_size, value_size, rotary_size, ffn_size;
    RotaryLayout rotary_layout;
    float norm_epsilon, rope_theta;
    CacheType cache_type;
    std::optional<LatentFigures> latent;
    std::optional<ExpertFigures> experts;
    std::map<std::string, TensorSpec> tensors;  // by GGUF's names

    // Throws std::invalid_argument, which names the figure, unless the core can run these. Within its limits no product
    // of sizes overflows; the largest is a slot of 2^24 positions, 2^62 bytes.
    void check() const;
};

}  // namespace chatglm
