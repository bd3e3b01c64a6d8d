#include "weights.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <tuple>

namespace chatglm {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kRead = 128 << 10;  // bytes that a thread reads at a time: they stay in its cache while it packs them
// Bytes that a thread takes at a time: if two write to a new huge page at once, both clear one.
constexpr size_t kTaken = 2 << 20;
constexpr auto kBetweenReports = std::chrono::milliseconds(50);

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Reads for all threads, counts, and lets the calling thread, number 0, report.
class Reader {
  public:
    explicit Reader(const Progress &progress) : progress_(progress) {}

    void read(const File &file, uint64_t offset, size_t bytes, uint8_t *to, int thread) {
        file.read(offset, bytes, to);
        read_ += bytes;
        if (thread == 0 && std::chrono::steady_clock::now() - reported_ >= kBetweenReports) report();
    }

    void report() {
        if (progress_ && !progress_(read_.load())) throw LoadingStopped();
        reported_ = std::chrono::steady_clock::now();
    }

  private:
    const Progress &progress_;
    std::atomic<uint64_t> read_{0};
    std::chrono::steady_clock::time_point reported_;  // thread 0 alone uses it
};

// Reads the groups `begin` … `end` - 1 of a matrix and packs them.
void read_groups(const File &file, uint64_t offset, const Matrix &matrix, int begin, int end, uint8_t *to,
                 Memory &buffer, Reader &reader, int thread) {
    const size_t group_bytes = matrix.group_bytes(), bytes = matrix.file_row_bytes() * matrix.rows;
    const int most = static_cast<int>(std::max<size_t>(1, kRead / group_bytes));
    // The system copies faster to a place that is aligned like the place in the file.
    const size_t room = most * group_bytes + kAlignment;
    if (buffer.bytes() < room) buffer = Memory(room, Pages::Small);
    uint8_t *const rows = buffer.data() + offset % kAlignment;
    for (; begin < end; begin += most) {
        const int stop = std::min(begin + most, end);
        const size_t first = begin * group_bytes, last = std::min<size_t>(stop * group_bytes, bytes);
        reader.read(file, offset + first, last - first, rows, thread);
        std::memset(rows + (last - first), 0, stop * group_bytes - last);  // rows that fill up a group
        for (int group = begin; group < stop; ++group) {
            pack_group(matrix, rows + (group - begin) * group_bytes, to + group * group_bytes);
        }
    }
}

std::string shape_text(const std::vector<int64_t> &shape) {
    std::string text;
    for (const int64_t size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
    return text;
}

}  // namespace

WeightPlan::Part WeightPlan::find(const std::string &name, const std::vector<int64_t> &shape) {
    const auto found = spec_.tensors.find(name);
    if (found == spec_.tensors.end()) throw std::invalid_argument("the tensor " + name + " is missing");
    const TensorSpec &tensor = found->second;
    if (tensor.shape != shape) {
        throw std::invalid_argument("the tensor " + name + " has the shape " + shape_text(tensor.shape) + ", not " +
                                    shape_text(shape));
    }
    std::unique_ptr<File> &file = files_[tensor.path];
    if (!file) file = std::make_unique<File>(tensor.path);
    if (tensor.offset > file->bytes() || tensor.bytes > file->bytes() - tensor.offset) {
        throw std::invalid_argument("the tensor " + name + " lies outside the file");
    }
    if (!wanted_.insert(name).second) throw std::logic_error("a network plans " + name + " twice");
    return {&tensor, file.get(), bytes_, nullptr, nullptr};
}

void WeightPlan::add(const Part &part, size_t bytes) {
    parts_.push_back(part);
    bytes_ += aligned(bytes);
}

void WeightPlan::matrix(Matrix &to, const std::string &name, int rows, int columns) {
    add_matrix(to, name, {rows, columns}, rows, columns);
}

void WeightPlan::stack(Matrix &to, const std::string &name, int count, int rows, int columns) {
    add_matrix(to, name, {count, rows, columns}, count * rows, columns);
}

void WeightPlan::add_matrix(Matrix &to, const std::string &name, const std::vector<int64_t> &shape, int rows,
                            int columns) {
    Part part = find(name, shape);
    to = {nullptr, static_cast<Type>(part.tensor->type), rows, columns};
    const int multiple = std::max(kColumns, layout_of(to.type).columns);  // throws by itself if the type is unknown
    if (columns % multiple != 0) {
        throw std::invalid_argument("the tensor " + name + " has " + std::to_string(columns) +
                                    " columns, not a multiple of " + std::to_string(multiple));
    }
    if (part.tensor->bytes != to.file_row_bytes() * rows) {
        throw std::invalid_argument("the tensor " + name + " has not the bytes of its shape and type");
    }
    part.matrix = &to;
    add(part, to.bytes());
}

void WeightPlan::vector(const float *&to, const std::string &name, int size) {
    Part part = find(name, {size});
    if (part.tensor->type != static_cast<int>(Type::F32) || part.tensor->bytes != size * sizeof(float)) {
        throw std::invalid_argument("the tensor " + name + " is not in float32");
    }
    part.vector = &to;
    add(part, part.tensor->bytes);
}

void WeightPlan::optional_vector(const float *&to, const std::string &name, int size) {
    to = nullptr;
    if (has(name)) vector(to, name, size);
}

void WeightPlan::check_complete() const {
    for (const auto &[name, tensor] : spec_.tensors) {
        if (wanted_.count(name) == 0) {
            throw std::invalid_argument("the architecture " + spec_.architecture + " has no tensor " + name);
        }
    }
}

Memory WeightPlan::read(ThreadPool &pool, const Progress &progress) const {
    Reader reader(progress);
    reader.report();
    Memory memory(bytes_, Pages::Huge);
    std::vector<Memory> buffers(pool.threads());
    std::vector<Part> parts = parts_;
    std::sort(parts.begin(), parts.end(), [&](const Part &a, const Part &b) {
        return std::tie(a.tensor->path, a.tensor->offset) < std::tie(b.tensor->path, b.tensor->offset);
    });
    struct Piece {
        const Part *part;
        size_t begin, end;  // groups of a matrix, or bytes
    };
    std::vector<Piece> pieces;
    for (const Part &part : parts) {
        const size_t unit = part.matrix != nullptr ? part.matrix->group_bytes() : 1;
        const size_t count = part.matrix != nullptr ? part.matrix->groups() : part.tensor->bytes;
        const size_t most = std::max<size_t>(1, kTaken / unit);
        for (size_t begin = 0; begin < count; begin += most) {
            pieces.push_back({&part, begin, std::min(begin + most, count)});
        }
    }
    pool.run(static_cast<int>(pieces.size()), 1, [&](int first, int last, int thread) {
        for (int i = first; i < last; ++i) {
            const auto &[part, begin, end] = pieces[i];
            const uint64_t offset = part->tensor->offset;
            uint8_t *const to = memory.data() + part->place;
            if (part->matrix != nullptr) {
                read_groups(*part->file, offset, *part->matrix, begin, end, to, buffers[thread], reader, thread);
            } else {
                reader.read(*part->file, offset + begin, end - begin, to + begin, thread);
            }
        }
    });
    for (const Part &part : parts) {
        const uint8_t *const from = memory.data() + part.place;
        if (part.matrix != nullptr) {
            part.matrix->data = from;
        } else {
            *part.vector = reinterpret_cast<const float *>(from);
        }
    }
    for (const auto &make : when_read_) make();
    reader.report();
    return memory;
}

}  // namespace chatglm
