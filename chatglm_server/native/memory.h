// Memory straight from the system: zero at first, and taken only where it is touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace chatglm {

enum class Pages {
    Huge,  // if the system has some: for memory that is used from end to end
    Small  // for memory that is used in places
};

class Memory {
  public:
    Memory() = default;
    // Throws std::bad_alloc.
    Memory(size_t bytes, Pages pages);
    ~Memory();
    Memory(Memory &&other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    // `other` gets this one's memory, and gives it back when it is destroyed.
    Memory &operator=(Memory &&other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }

    // Gives back the whole pages between two offsets. Their content is lost.
    void forget(size_t begin, size_t end);

    uint8_t *data() const { return static_cast<uint8_t *>(data_); }
    size_t bytes() const { return bytes_; }

  private:
    void *data_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace chatglm
