#include "model.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <stdexcept>

namespace chatglm {
namespace {

constexpr int kTokens = 128;  // whose activations stay in a core's cache while the weights pass by
constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// A file, readable as memory.
class FileMapping {
  public:
    explicit FileMapping(const std::string &path) {
        const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat status{};
        if (file < 0 || fstat(file, &status) != 0) {
            if (file >= 0) close(file);
            throw std::runtime_error("the file cannot be read");
        }
        bytes_ = static_cast<size_t>(status.st_size);
        data_ = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0);
        close(file);
        if (data_ == MAP_FAILED) throw std::runtime_error("the file cannot be mapped");
    }
    ~FileMapping() { munmap(data_, bytes_); }
    FileMapping(const FileMapping &) = delete;
    FileMapping &operator=(const FileMapping &) = delete;

    const uint8_t *at(uint64_t offset, uint64_t bytes) const {
        if (offset > bytes_ || bytes > bytes_ - offset) throw std::runtime_error("a tensor lies outside the file");
        return static_cast<const uint8_t *>(data_) + offset;
    }

  private:
    void *data_ = nullptr;
    size_t bytes_ = 0;
};

// The tensors of a file by name, each checked against the shape that the model needs.
class Tensors {
  public:
    Tensors(const FileMapping &file, const std::vector<FileTensor> &tensors) : file_(file) {
        for (const FileTensor &tensor : tensors) by_name_[tensor.name] = &tensor;
    }

    const FileTensor &find(const std::string &name, int64_t rows, int64_t columns) const {
        const auto found = by_name_.find(name);
        if (found == by_name_.end()) throw std::runtime_error("the file lacks the tensor " + name);
        const FileTensor &tensor = *found->second;
        if (tensor.rows != rows || tensor.columns != columns || columns % kColumns != 0 ||
            tensor.bytes != rows * (columns / kColumns) * layout_of(tensor.type).file_block) {
            throw std::runtime_error("the file has another shape than expected of " + name);
        }
        return tensor;
    }
    const uint8_t *data(const FileTensor &tensor) const { return file_.at(tensor.offset, tensor.bytes); }

  private:
    const FileMapping &file_;
    std::map<std::string, const FileTensor *> by_name_;
};

}  // namespace

struct Model::Scratch {
    std::vector<float> x, normed, qkv, mixed, wide, gated, projected;
    std::vector<int8_t> codes;
    std::vector<float> scales;
    std::vector<int32_t> sums;
    std::vector<std::vector<float>> scores;  // one for each thread
};

Model::~Model() = default;

Model::Model(const std::string &path, const Config &config, const std::vector<FileTensor> &tensors, int sequences,
             int threads, const Kernels &kernels)
    : config_(config), kernels_(kernels), pool_(threads), scratch_(std::make_unique<Scratch>()) {
    if (config.head() % 16 != 0 || config.hidden % kColumns != 0 || config.ffn % kColumns != 0) {
        throw std::runtime_error("the model's shape is not one that the native core runs");
    }
    const FileMapping mapping(path);
    const Tensors file(mapping, tensors);

    // first where everything goes, then the copying, which all threads share
    struct Copy {
        Matrix *matrix;        // packed
        const float **floats;  // or taken as it is
        const FileTensor *tensor;
        size_t place;
    };
    std::vector<Copy> copies;
    size_t bytes = 0;
    const auto plan_matrix = [&](Matrix &matrix, const std::string &name, int rows, int columns) {
        const FileTensor &tensor = file.find(name, rows, columns);
        matrix = {nullptr, tensor.type, rows, columns};
        copies.push_back({&matrix, nullptr, &tensor, bytes});
        bytes += aligned(matrix.bytes());
    };
    const auto plan_floats = [&](const float *&floats, const std::string &name, int size) {
        const FileTensor &tensor = file.find(name, 1, size);
        if (tensor.type != Type::F32) throw std::runtime_error(name + " is not in float32");
        copies.push_back({nullptr, &floats, &tensor, bytes});
        bytes += aligned(tensor.bytes);
    };
    const FileTensor &embedding =
        file.find("transformer.embedding.word_embeddings.weight", config.vocab, config.hidden);
    const size_t embedding_place = bytes;
    bytes += aligned(embedding.bytes);
    layers_.resize(config.layers);
    for (int i = 0; i < config.layers; ++i) {
        Layer &layer = layers_[i];
        const std::string prefix = "transformer.encoder.layers." + std::to_string(i) + ".";
        plan_floats(layer.input_norm, prefix + "input_layernorm.weight", config.hidden);
        plan_matrix(layer.qkv, prefix + "self_attention.query_key_value.weight", config.qkv(), config.hidden);
        plan_floats(layer.qkv_bias, prefix + "self_attention.query_key_value.bias", config.qkv());
        plan_matrix(layer.dense, prefix + "self_attention.dense.weight", config.hidden, config.hidden);
        plan_floats(layer.post_norm, prefix + "post_attention_layernorm.weight", config.hidden);
        plan_matrix(layer.up, prefix + "mlp.dense_h_to_4h.weight", 2 * config.ffn, config.hidden);
        plan_matrix(layer.down, prefix + "mlp.dense_4h_to_h.weight", config.hidden, config.ffn);
    }
    plan_floats(final_norm_, "transformer.encoder.final_layernorm.weight", config.hidden);
    plan_matrix(output_, "transformer.output_layer.weight", config.vocab, config.hidden);

    weights_ = Memory(bytes);
    std::memcpy(weights_.data() + embedding_place, file.data(embedding), embedding.bytes);
    embedding_ = weights_.data() + embedding_place;
    embedding_type_ = embedding.type;
    for (const Copy &copy : copies) {
        uint8_t *to = weights_.data() + copy.place;
        const uint8_t *from = file.data(*copy.tensor);
        if (copy.floats != nullptr) {
            std::memcpy(to, from, copy.tensor->bytes);
            *copy.floats = reinterpret_cast<const float *>(to);
            continue;
        }
        Matrix &matrix = *copy.matrix;
        matrix.data = to;
        pool_.run(matrix.groups(), 16, [&](int begin, int end, int) {
            for (int group = begin; group < end; ++group) {
                pack_group(matrix, group, from, to + group * matrix.group_bytes());
            }
        });
    }

    const size_t cache = size_t(config.layers) * config.kv_heads * cache_head_halves() * 2 * sizeof(uint16_t);
    for (int i = 0; i < sequences; ++i) caches_.emplace_back(cache);

    const int pairs = config.head() / 4;
    for (int position = 0; position < config.context; ++position) {
        for (int pair = 0; pair < pairs; ++pair) {
            const float frequency = std::pow(config.theta, -static_cast<float>(pair) / static_cast<float>(pairs));
            const float angle = static_cast<float>(position) * frequency;
            cosines_.push_back(std::cos(angle));
            sines_.push_back(std::sin(angle));
        }
    }
}

size_t Model::cache_head_halves() const { return size_t(config_.context + 15) / 16 * 16 * config_.head(); }

CacheHead Model::cache(int sequence, int layer, int kv_head) const {
    const size_t halves = cache_head_halves();
    auto *base = reinterpret_cast<uint16_t *>(caches_[sequence].data());
    uint16_t *keys = base + (size_t(layer) * config_.kv_heads + kv_head) * 2 * halves;
    return {keys, keys + halves};
}

void Model::forget(int sequence) {
    if (sequence < 0 || sequence >= sequences()) throw std::invalid_argument("no such sequence");
    caches_[sequence].forget();
}

void Model::copy(int from, int to, int count) {
    if (from == to) return;
    const size_t halves = size_t(count + 15) / 16 * 16 * config_.head();
    pool_.run(config_.layers * config_.kv_heads, 1, [&](int begin, int end, int) {
        for (int i = begin; i < end; ++i) {
            const CacheHead source = cache(from, i / config_.kv_heads, i % config_.kv_heads);
            const CacheHead target = cache(to, i / config_.kv_heads, i % config_.kv_heads);
            std::memcpy(target.keys, source.keys, halves * sizeof(uint16_t));
            std::memcpy(target.values, source.values, halves * sizeof(uint16_t));
        }
    });
}

void Model::forward(const std::vector<Row> &rows, const std::vector<int> &wanted, float *logits) {
    for (const Row &row : rows) {
        if (row.sequence < 0 || row.sequence >= sequences() || row.position < 0 || row.position >= config_.context ||
            row.token < 0 || row.token >= config_.vocab) {
            throw std::invalid_argument("a row is outside the model");
        }
    }
    Scratch &s = *scratch_;
    const int tokens = static_cast<int>(rows.size()), hidden = config_.hidden;
    s.x.resize(size_t(tokens) * hidden);
    const size_t row_bytes = size_t(hidden / kColumns) * layout_of(embedding_type_).file_block;
    for (int t = 0; t < tokens; ++t) {
        decode_row(embedding_type_, hidden, embedding_ + rows[t].token * row_bytes, &s.x[size_t(t) * hidden]);
    }
    for (int i = 0; i < config_.layers; ++i) layer(i, rows, s);

    std::vector<float> last(wanted.size() * hidden);
    for (size_t i = 0; i < wanted.size(); ++i) {
        std::memcpy(&last[i * hidden], &s.x.at(size_t(wanted[i]) * hidden), hidden * sizeof(float));
    }
    normalize(last.data(), final_norm_, static_cast<int>(wanted.size()), last.data());
    multiply(output_, last.data(), static_cast<int>(wanted.size()), logits, s);
}

// Pre-norm attention, then a pre-norm gated feed-forward network (arXiv 2406.12793).
void Model::layer(int index, const std::vector<Row> &rows, Scratch &s) {
    const Layer &layer = layers_[index];
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

// Rotates queries and keys, puts keys and values into the caches, and attends.
void Model::attention(int index, const std::vector<Row> &rows, Scratch &s) {
    const int head = config_.head(), kv_heads = config_.kv_heads, group = config_.heads / kv_heads;
    const int qkv = config_.qkv(), pairs = head / 4;
    const float *bias = layers_[index].qkv_bias;
    const int tokens = static_cast<int>(rows.size());
    pool_.run(tokens, 4, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            float *row = &s.qkv[size_t(t) * qkv];
            for (int i = 0; i < qkv; ++i) row[i] += bias[i];
            const size_t angle = size_t(rows[t].position) * pairs;
            for (int h = 0; h < config_.heads + kv_heads; ++h) {  // the keys follow the queries
                float *x = row + size_t(h) * head;                // its first half is rotated, pair by pair
                for (int pair = 0; pair < pairs; ++pair) {
                    const float cosine = cosines_[angle + pair], sine = sines_[angle + pair];
                    const float even = x[2 * pair], odd = x[2 * pair + 1];
                    x[2 * pair] = even * cosine - odd * sine;
                    x[2 * pair + 1] = odd * cosine + even * sine;
                }
            }
            const float *keys = row + config_.hidden, *values = keys + kv_heads * head;
            for (int h = 0; h < kv_heads; ++h) {
                kernels_.append(cache(rows[t].sequence, index, h), rows[t].position, head, keys + h * head,
                                values + h * head);
            }
        }
    });

    // rows of one sequence that follow each other share what they read of the cache
    struct Span {
        int begin, end;
    };
    std::vector<Span> spans;
    const int most = std::max(1, 16 / group);
    for (int t = 0; t < tokens; ++t) {
        if (!spans.empty() && rows[spans.back().begin].sequence == rows[t].sequence && t - spans.back().begin < most) {
            spans.back().end = t + 1;
        } else {
            spans.push_back({t, t + 1});
        }
    }
    s.scores.resize(pool_.threads());
    for (auto &scores : s.scores) scores.resize(size_t(8) * ((config_.context + 15) / 16 + 1) * 16);
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
