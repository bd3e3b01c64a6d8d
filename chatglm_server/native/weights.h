// Plans the tensors of a network, and reads them into the layout of the kernels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "file.h"
#include "kernels/matrix.h"
#include "memory.h"
#include "spec.h"
#include "thread_pool.h"

namespace chatglm {

// The caller of WeightPlan::read wants no more of it.
struct LoadingStopped : std::runtime_error {
    LoadingStopped() : std::runtime_error("loading was stopped") {}
};

// Gets the bytes that were read so far; false stops the loading.
using Progress = std::function<bool(uint64_t)>;

// A network first says what it wants; so a spec that lacks something is refused before any memory is taken. `read` then
// fills in what was asked for: it must not have moved meanwhile.
class WeightPlan {
  public:
    // `spec` must outlive the plan.
    explicit WeightPlan(const ModelSpec &spec) : spec_(spec) {}

    bool has(const std::string &name) const { return spec_.tensors.count(name) != 0; }

    // These throw std::invalid_argument if the tensor is missing, of another shape or type, or outside its file, and
    // std::runtime_error if its file cannot be read.
    void matrix(Matrix &to, const std::string &name, int rows, int columns);
    void vector(const float *&to, const std::string &name, int size);  // float32

    // `count` matrices of one shape, (count, rows, columns) in the file, as one of count * rows rows. `rows` must be a
    // multiple of kRows, so that each matrix has groups of its own.
    void stack(Matrix &to, const std::string &name, int count, int rows, int columns);

    // Leaves a null pointer if the tensor is missing.
    void optional_vector(const float *&to, const std::string &name, int size);

    // `make` is called when all tensors are read: for what a network makes of them.
    void when_read(std::function<void()> make) { when_read_.push_back(std::move(make)); }

    // Throws std::invalid_argument if the spec has a tensor that nobody asked for: the network would leave it out.
    void check_complete() const;

    // Reads every byte once, in the files' order. Besides the weights it takes 128 KB for each thread, or 16 rows if
    // they are more. The returned memory is what the matrices and vectors point into. `progress` may be empty; it is
    // called in the calling thread, at first, at last, and between at most 20 times a second. Throws
    // std::runtime_error, std::bad_alloc, LoadingStopped, and what `progress` throws.
    Memory read(ThreadPool &pool, const Progress &progress) const;

  private:
    struct Part {
        const TensorSpec *tensor;
        const File *file;
        size_t place;    // in the memory
        Matrix *matrix;  // one of these two
        const float **vector;
    };

    // The next part, whose tensor is checked but for its type and bytes.
    Part find(const std::string &name, const std::vector<int64_t> &shape);
    void add_matrix(Matrix &to, const std::string &name, const std::vector<int64_t> &shape, int rows, int columns);
    void add(const Part &part, size_t bytes);

    const ModelSpec &spec_;
    std::map<std::filesystem::path, std::unique_ptr<File>> files_;
    std::set<std::string> wanted_;
    std::vector<Part> parts_;
    std::vector<std::function<void()>> when_read_;
    size_t bytes_ = 0;
};

}  // namespace chatglm
