// Memory straight from the system: zero, untouched until used, in huge pages where there are any.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace chatglm {

class Memory {
  public:
    Memory() = default;
    explicit Memory(size_t bytes) : bytes_(bytes) {
        if (bytes == 0) return;
        map(nullptr, 0);
    }
    ~Memory() {
        if (data_ != nullptr) munmap(data_, bytes_);
    }
    Memory(Memory &&other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Memory &operator=(Memory &&other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }

    // Gives the pages back: all is zero and untouched again.
    void forget() {
        if (bytes_ != 0) map(data_, MAP_FIXED);
    }

    uint8_t *data() const { return static_cast<uint8_t *>(data_); }
    size_t bytes() const { return bytes_; }

  private:
    void map(void *place, int flags) {
        flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void *data = mmap(place, bytes_, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (data == MAP_FAILED) throw std::bad_alloc();
        data_ = data;
#ifdef MADV_HUGEPAGE
        madvise(data_, bytes_, MADV_HUGEPAGE);  // advice: where it is not taken, all else is the same
#endif
    }

    void *data_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace chatglm
