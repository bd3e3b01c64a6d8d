// A file of weights. It is read and not mapped: a mapping of a file that shrinks meanwhile is a SIGBUS, and its pages
// count as this process's memory beside the packed copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace chatglm {

class File {
  public:
    // Throws std::runtime_error unless it is a regular file that can be read.
    explicit File(const std::filesystem::path &path);
    ~File();
    File(const File &) = delete;
    File &operator=(const File &) = delete;

    uint64_t bytes() const { return bytes_; }

    // Reads exactly so many bytes. Several threads may read at once. Throws std::runtime_error.
    void read(uint64_t offset, size_t bytes, uint8_t *to) const;

  private:
    std::filesystem::path path_;
    intptr_t file_;  // the system's descriptor or handle
    uint64_t bytes_ = 0;
};

}  // namespace chatglm
