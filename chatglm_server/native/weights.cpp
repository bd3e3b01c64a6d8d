#include "weights.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>

namespace chatglm {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kPiece = 1 << 20;  // bytes that a thread reads at a time: they stay in its cache while it packs them

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// A file that is read and not mapped: if it shrinks meanwhile, a mapping would be a SIGBUS, and a mapping's pages would
// count as this process's memory beside the packed copy.
class File {
  public:
    explicit File(const std::string &path) : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        struct stat status{};
        if (descriptor_ < 0) throw std::runtime_error("the file cannot be read");
        if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
            close(descriptor_);
            throw std::runtime_error("this is no file that can be read");
        }
        bytes_ = static_cast<uint64_t>(status.st_size);
    }
    ~File() { close(descriptor_); }
    File(const File &) = delete;
    File &operator=(const File &) = delete;

    uint64_t bytes() const { return bytes_; }

    // May be called by several threads at once.
    void read(uint64_t offset, size_t bytes, uint8_t *to) const {
        while (bytes > 0) {
            const ssize_t got = pread(descriptor_, to, bytes, static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) throw std::runtime_error("the file cannot be read");
            if (got == 0) throw std::runtime_error("the file became shorter while it was read");
            offset += static_cast<uint64_t>(got);
            to += got;
            bytes -= static_cast<size_t>(got);
        }
    }

  private:
    int descriptor_;
    uint64_t bytes_ = 0;
};

// The tensors of a file by name, each checked against the shape that the model needs.
class Tensors {
  public:
    Tensors(const File &file, const std::vector<FileTensor> &tensors) : file_(file) {
        for (const FileTensor &tensor : tensors) {
            if (!by_name_.emplace(tensor.name, &tensor).second) {
                throw std::runtime_error("the file has the tensor " + tensor.name + " twice");
            }
        }
    }

    const FileTensor &find(const std::string &name, int64_t rows, int64_t columns) const {
        const auto found = by_name_.find(name);
        if (found == by_name_.end()) throw std::runtime_error("the file lacks the tensor " + name);
        const FileTensor &tensor = *found->second;
        if (tensor.rows != rows || tensor.columns != columns || columns % kColumns != 0 ||
            tensor.bytes != rows * (columns / kColumns) * layout_of(tensor.type).file_block) {
            throw std::runtime_error("the file has another shape than expected of " + name);
        }
        if (tensor.offset > file_.bytes() || tensor.bytes > file_.bytes() - tensor.offset) {
            throw std::runtime_error("the tensor " + name + " lies outside the file");
        }
        return tensor;
    }

  private:
    const File &file_;
    std::map<std::string, const FileTensor *> by_name_;
};

// What is read from where to where: planned as a whole, so that a file that lacks something is refused before any
// memory is taken, and then read by all threads.
class Plan {
  public:
    explicit Plan(const Tensors &tensors) : tensors_(tensors) {}

    void packed(Matrix &matrix, const std::string &name, int rows, int columns) {
        const FileTensor &tensor = tensors_.find(name, rows, columns);
        matrix = {nullptr, tensor.type, rows, columns};
        add(tensor, matrix.bytes(), &matrix, [&matrix](const uint8_t *place) { matrix.data = place; });
    }
    void floats(const float *&floats, const std::string &name, int size) {
        const FileTensor &tensor = tensors_.find(name, 1, size);
        if (tensor.type != Type::F32) throw std::runtime_error(name + " is not in float32");
        add(tensor, tensor.bytes, nullptr,
            [&floats](const uint8_t *place) { floats = reinterpret_cast<const float *>(place); });
    }
    void as_it_is(const uint8_t *&data, Type &type, const std::string &name, int rows, int columns) {
        const FileTensor &tensor = tensors_.find(name, rows, columns);
        type = tensor.type;
        add(tensor, tensor.bytes, nullptr, [&data](const uint8_t *place) { data = place; });
    }

    Memory read(const File &file, ThreadPool &pool) const {
        Memory memory(bytes_);
        std::vector<std::vector<uint8_t>> buffers(pool.threads());
        for (const Part &part : parts_) {
            uint8_t *to = memory.data() + part.place;
            part.placed(to);
            if (part.matrix != nullptr) {
                read_packed(file, *part.tensor, *part.matrix, to, pool, buffers);
            } else {
                read_raw(file, *part.tensor, to, pool);
            }
        }
        return memory;
    }

  private:
    struct Part {
        const FileTensor *tensor;
        size_t place;
        const Matrix *matrix;  // whose layout it gets; none: it stays as it is
        std::function<void(const uint8_t *)> placed;
    };

    void add(const FileTensor &tensor, size_t bytes, const Matrix *matrix,
             std::function<void(const uint8_t *)> placed) {
        parts_.push_back({&tensor, bytes_, matrix, std::move(placed)});
        bytes_ += aligned(bytes);
    }

    static void read_raw(const File &file, const FileTensor &tensor, uint8_t *to, ThreadPool &pool) {
        const int pieces = static_cast<int>((tensor.bytes + kPiece - 1) / kPiece);
        pool.run(pieces, 1, [&](int begin, int end, int) {
            const size_t first = begin * kPiece, last = std::min<size_t>(end * kPiece, tensor.bytes);
            file.read(tensor.offset + first, last - first, to + first);
        });
    }

    static void read_packed(const File &file, const FileTensor &tensor, const Matrix &matrix, uint8_t *to,
                            ThreadPool &pool, std::vector<std::vector<uint8_t>> &buffers) {
        const size_t file_group = tensor.bytes / matrix.rows * kRows;
        const int piece = static_cast<int>(std::max<size_t>(1, kPiece / file_group));
        pool.run(matrix.groups(), piece, [&](int begin, int end, int thread) {
            std::vector<uint8_t> &buffer = buffers[thread];
            buffer.resize(std::max(buffer.size(), piece * file_group));
            for (; begin < end; begin += piece) {  // all of them at once if there is one thread
                const int stop = std::min(begin + piece, end);
                const size_t first = begin * file_group, last = std::min<size_t>(stop * file_group, tensor.bytes);
                file.read(tensor.offset + first, last - first, buffer.data());
                for (int group = begin; group < stop; ++group) {
                    pack_group(matrix, group, buffer.data() + (group - begin) * file_group,
                               to + group * matrix.group_bytes());
                }
            }
        });
    }

    const Tensors &tensors_;
    std::vector<Part> parts_;
    size_t bytes_ = 0;
};

}  // namespace

void Config::check() const {
    const auto within = [](int value, int most) { return 0 < value && value <= most; };
    if (!within(vocab, 1 << 24) || !within(hidden, 1 << 20) || !within(heads, 1 << 12) || !within(kv_heads, heads) ||
        !within(layers, 1 << 12) || !within(ffn, 1 << 22) || !within(context, 1 << 24) || hidden % heads != 0 ||
        heads % kv_heads != 0 || head() % 16 != 0 || hidden % kColumns != 0 || ffn % kColumns != 0 || !(epsilon > 0) ||
        !(theta > 0) || !std::isfinite(epsilon) || !std::isfinite(theta)) {
        throw std::invalid_argument("the model's shape is not one that the native core runs");
    }
}

Weights read_weights(const std::string &path, const Config &config, const std::vector<FileTensor> &tensors,
                     ThreadPool &pool) {
    const File file(path);
    const Tensors by_name(file, tensors);
    Plan plan(by_name);
    Weights made{};
    plan.as_it_is(made.embedding, made.embedding_type, "transformer.embedding.word_embeddings.weight", config.vocab,
                  config.hidden);
    made.layers.resize(config.layers);
    for (int i = 0; i < config.layers; ++i) {
        Layer &layer = made.layers[i];
        const std::string prefix = "transformer.encoder.layers." + std::to_string(i) + ".";
        plan.floats(layer.input_norm, prefix + "input_layernorm.weight", config.hidden);
        plan.packed(layer.qkv, prefix + "self_attention.query_key_value.weight", config.qkv(), config.hidden);
        plan.floats(layer.qkv_bias, prefix + "self_attention.query_key_value.bias", config.qkv());
        plan.packed(layer.dense, prefix + "self_attention.dense.weight", config.hidden, config.hidden);
        plan.floats(layer.post_norm, prefix + "post_attention_layernorm.weight", config.hidden);
        plan.packed(layer.up, prefix + "mlp.dense_h_to_4h.weight", 2 * config.ffn, config.hidden);
        plan.packed(layer.down, prefix + "mlp.dense_4h_to_h.weight", config.hidden, config.ffn);
    }
    plan.floats(made.final_norm, "transformer.encoder.final_layernorm.weight", config.hidden);
    plan.packed(made.output, "transformer.output_layer.weight", config.vocab, config.hidden);
    made.memory = plan.read(file, pool);
    return made;
}

}  // namespace chatglm
