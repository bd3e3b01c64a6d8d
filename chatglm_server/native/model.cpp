#include "model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace chatglm {
namespace {

constexpr int kTokens = 128;  // whose activations stay in a core's cache while the weights pass by

// Positions are kept 16 side by side.
size_t padded(int positions) { return size_t(positions + 15) / 16 * 16; }

const Config &checked(const Config &config, int sequences, int threads) {
    config.check();
    if (sequences < 1 || sequences > 1024) throw std::invalid_argument("1 to 1024 sequences are possible");
    if (threads < 1 || threads > 1024) throw std::invalid_argument("1 to 1024 threads are possible");
    return config;
}

}  // namespace

// What a pass works with, kept for the next one.
struct Model::Scratch {
    std::vector<float> x, normed, qkv, mixed, wide, gated, projected;  // (tokens, …)
    std::vector<float> cosines, sines;                                 // (tokens, head / 4)
    std::vector<int8_t> codes;
    std::vector<float> scales;
    std::vector<int32_t> sums;
    std::vector<std::vector<float>> scores;  // one for each thread
};

Model::~Model() = default;

Model::Model(const std::string &path, const Config &config, const std::vector<FileTensor> &tensors, int sequences,
             int threads, const Kernels &kernels)
    : config_(checked(config, sequences, threads)),
      kernels_(kernels),
      pool_(threads),
      weights_(read_weights(path, config, tensors, pool_)),
      scratch_(std::make_unique<Scratch>()) {
    const size_t cache = size_t(config.layers) * config.kv_heads * cache_head_halves() * 2 * sizeof(uint16_t);
    for (int i = 0; i < sequences; ++i) caches_.emplace_back(cache);
    const int pairs = config.head() / 4;
    for (int pair = 0; pair < pairs; ++pair) {
        frequencies_.push_back(std::pow(config.theta, -static_cast<float>(pair) / static_cast<float>(pairs)));
    }
}

size_t Model::cache_head_halves() const { return padded(config_.context) * config_.head(); }

CacheHead Model::cache(int sequence, int layer, int kv_head) const {
    const size_t halves = cache_head_halves();
    auto *base = reinterpret_cast<uint16_t *>(caches_[sequence].data());
    uint16_t *keys = base + (size_t(layer) * config_.kv_heads + kv_head) * 2 * halves;
    return {keys, keys + halves};
}

void Model::forget(int sequence) {
    if (sequence < 0 || sequence >= sequences()) throw std::invalid_argument("no such sequence");
    const std::lock_guard<std::mutex> lock(mutex_);
    caches_[sequence].forget();
}

void Model::copy(int from, int to, int count) {
    if (from < 0 || from >= sequences() || to < 0 || to >= sequences() || count < 0 || count > config_.context) {
        throw std::invalid_argument("a sequence or a count is outside the model");
    }
    if (from == to) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t halves = padded(count) * config_.head();
    pool_.run(config_.layers * config_.kv_heads, 1, [&](int begin, int end, int) {
        for (int i = begin; i < end; ++i) {
            const CacheHead source = cache(from, i / config_.kv_heads, i % config_.kv_heads);
            const CacheHead target = cache(to, i / config_.kv_heads, i % config_.kv_heads);
            std::memcpy(target.keys, source.keys, halves * sizeof(uint16_t));
            std::memcpy(target.values, source.values, halves * sizeof(uint16_t));
        }
    });
}

void Model::check(const std::vector<Row> &rows, const std::vector<int> &wanted) const {
    std::vector<std::pair<int, int>> places;
    for (const Row &row : rows) {
        if (row.sequence < 0 || row.sequence >= sequences() || row.position < 0 || row.position >= config_.context ||
            row.token < 0 || row.token >= config_.vocab) {
            throw std::invalid_argument("a row is outside the model");
        }
        places.emplace_back(row.sequence, row.position);
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
    check(rows, wanted);
    const std::lock_guard<std::mutex> lock(mutex_);
    Scratch &s = *scratch_;
    const int tokens = static_cast<int>(rows.size()), hidden = config_.hidden;
    s.x.resize(size_t(tokens) * hidden);
    const size_t row_bytes = size_t(hidden / kColumns) * layout_of(weights_.embedding_type).file_block;
    s.cosines.clear(), s.sines.clear();
    for (int t = 0; t < tokens; ++t) {
        decode_row(weights_.embedding_type, hidden, weights_.embedding + rows[t].token * row_bytes,
                   &s.x[size_t(t) * hidden]);
        for (const float frequency : frequencies_) {
            const float angle = static_cast<float>(rows[t].position) * frequency;
            s.cosines.push_back(std::cos(angle));
            s.sines.push_back(std::sin(angle));
        }
    }
    for (int i = 0; i < config_.layers; ++i) layer(i, rows, s);

    const int count = static_cast<int>(wanted.size());
    std::vector<float> last(size_t(count) * hidden);
    for (int i = 0; i < count; ++i) {
        std::memcpy(&last[size_t(i) * hidden], &s.x[size_t(wanted[i]) * hidden], hidden * sizeof(float));
    }
    normalize(last.data(), weights_.final_norm, count, last.data());
    multiply(weights_.output, last.data(), count, logits, s);
}

// Pre-norm attention, then a pre-norm gated feed-forward network (arXiv 2406.12793).
void Model::layer(int index, const std::vector<Row> &rows, Scratch &s) {
    const Layer &layer = weights_.layers[index];
    const int tokens = static_cast<int>(rows.size()), hidden = config_.hidden, ffn = config_.ffn;
    s.normed.resize(size_t(tokens) * hidden);
    s.qkv.resize(size_t(tokens) * config_.qkv());
    s.mixed.resize(size_t(tokens) * hidden);
    s.projected.resize(size_t(tokens) * hidden);
    s.wide.resize(size_t(tokens) * 2 * ffn);
    s.gated.resize(size_t(tokens) * ffn);
    const auto add_projected = [&] {
        for (size_t i = 0; i < s.x.size(); ++i) s.x[i] += s.projected[i];
    };

    normalize(s.x.data(), layer.input_norm, tokens, s.normed.data());
    multiply(layer.qkv, s.normed.data(), tokens, s.qkv.data(), s);
    rotate_and_append(index, rows, s);
    attention(index, rows, s);
    multiply(layer.dense, s.mixed.data(), tokens, s.projected.data(), s);
    add_projected();

    normalize(s.x.data(), layer.post_norm, tokens, s.normed.data());
    multiply(layer.up, s.normed.data(), tokens, s.wide.data(), s);
    pool_.run(tokens, 1, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            const float *gate = &s.wide[size_t(t) * 2 * ffn];
            kernels_.gate(gate, gate + ffn, ffn, &s.gated[size_t(t) * ffn]);
        }
    });
    multiply(layer.down, s.gated.data(), tokens, s.projected.data(), s);
    add_projected();
}

// Adds the bias, rotates queries and keys (Su et al., arXiv 2104.09864) and puts keys and values into the caches.
void Model::rotate_and_append(int index, const std::vector<Row> &rows, Scratch &s) {
    const int head = config_.head(), kv_heads = config_.kv_heads, qkv = config_.qkv(), pairs = head / 4;
    const float *bias = weights_.layers[index].qkv_bias;
    pool_.run(static_cast<int>(rows.size()), 4, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            float *row = &s.qkv[size_t(t) * qkv];
            for (int i = 0; i < qkv; ++i) row[i] += bias[i];
            const float *cosines = &s.cosines[size_t(t) * pairs], *sines = &s.sines[size_t(t) * pairs];
            for (int h = 0; h < config_.heads + kv_heads; ++h) {  // the keys follow the queries
                float *x = row + size_t(h) * head;                // its first half is rotated, pair by pair
                for (int pair = 0; pair < pairs; ++pair) {
                    const float even = x[2 * pair], odd = x[2 * pair + 1];
                    x[2 * pair] = even * cosines[pair] - odd * sines[pair];
                    x[2 * pair + 1] = odd * cosines[pair] + even * sines[pair];
                }
            }
            const float *keys = row + config_.hidden, *values = keys + kv_heads * head;
            for (int h = 0; h < kv_heads; ++h) {
                kernels_.append(cache(rows[t].sequence, index, h), rows[t].position, head, keys + h * head,
                                values + h * head);
            }
        }
    });
}

// Each query attends to the positions of its sequence up to its own.
void Model::attention(int index, const std::vector<Row> &rows, Scratch &s) {
    const int head = config_.head(), kv_heads = config_.kv_heads, group = config_.heads / kv_heads;
    const int qkv = config_.qkv(), tokens = static_cast<int>(rows.size());
    // rows of one sequence that follow each other share what they read of the cache
    struct Span {
        int begin, end;
    };
    std::vector<Span> spans;
    int last = 0;
    const int most = std::max(1, 16 / group);
    for (int t = 0; t < tokens; ++t) {
        last = std::max(last, rows[t].position);
        if (!spans.empty() && rows[spans.back().begin].sequence == rows[t].sequence && t - spans.back().begin < most) {
            spans.back().end = t + 1;
        } else {
            spans.push_back({t, t + 1});
        }
    }
    s.scores.resize(pool_.threads());
    const size_t room = 8 * padded(last + 16);
    for (auto &scores : s.scores) scores.resize(std::max(scores.size(), room));
    pool_.run(static_cast<int>(spans.size()) * kv_heads, 1, [&](int begin, int end, int thread) {
        std::vector<const float *> queries;
        std::vector<float *> out;
        std::vector<int> positions;
        for (int item = begin; item < end; ++item) {
            const Span span = spans[item / kv_heads];
            const int kv_head = item % kv_heads;
            queries.clear(), out.clear(), positions.clear();
            for (int t = span.begin; t < span.end; ++t) {
                for (int h = kv_head * group; h < (kv_head + 1) * group; ++h) {
                    queries.push_back(&s.qkv[size_t(t) * qkv + size_t(h) * head]);
                    out.push_back(&s.mixed[size_t(t) * config_.hidden + size_t(h) * head]);
                    positions.push_back(rows[t].position);
                }
            }
            kernels_.attend(cache(rows[span.begin].sequence, index, kv_head), head, static_cast<int>(queries.size()),
                            queries.data(), positions.data(), out.data(), s.scores[thread].data());
        }
    });
}

void Model::multiply(const Matrix &weights, const float *x, int tokens, float *out, Scratch &s) {
    const int columns = weights.columns, blocks = weights.blocks();
    Activations activations{nullptr, nullptr, nullptr, x, columns};
    if (layout_of(weights.type).quantized) {
        s.codes.resize(size_t(tokens) * columns);
        s.scales.resize(size_t(tokens) * blocks);
        s.sums.resize(size_t(tokens) * blocks);
        activations = {s.codes.data(), s.scales.data(), s.sums.data(), x, columns};
        pool_.run(tokens, 8, [&](int begin, int end, int) {
            Activations part = activations;
            part.codes += size_t(begin) * columns;
            part.scales += size_t(begin) * blocks;
            part.sums += size_t(begin) * blocks;
            kernels_.quantize(x + size_t(begin) * columns, end - begin, part);
        });
    }
    const int piece = std::max(1, weights.groups() / (pool_.threads() * 8));
    for (int token = 0; token < tokens; token += kTokens) {
        Activations part = activations;
        part.floats += size_t(token) * columns;
        if (part.codes != nullptr) {
            part.codes += size_t(token) * columns;
            part.scales += size_t(token) * blocks;
            part.sums += size_t(token) * blocks;
        }
        pool_.run(weights.groups(), piece, [&](int begin, int end, int) {
            kernels_.multiply(weights, part, std::min(kTokens, tokens - token), begin, end,
                              out + size_t(token) * weights.rows, weights.rows);
        });
    }
}

void Model::normalize(const float *x, const float *weight, int tokens, float *out) {
    const int hidden = config_.hidden;
    pool_.run(tokens, 8, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            kernels_.normalize(x + size_t(t) * hidden, weight, hidden, config_.epsilon, out + size_t(t) * hidden);
        }
    });
}

}  // namespace chatglm
