// Memory straight from the system: zero at first, and taken only where it is touched.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>
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
    Memory(size_t bytes, Pages pages) : bytes_(bytes) {
        if (bytes == 0) return;
        data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (data_ == MAP_FAILED) throw std::bad_alloc();
        // only advice: if the system ignores it, nothing else changes
#ifdef MADV_HUGEPAGE
        madvise(data_, bytes, pages == Pages::Huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#else
        static_cast<void>(pages);
#endif
    }
    ~Memory() {
        if (data_ != nullptr) munmap(data_, bytes_);
    }
    Memory(Memory &&other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    // `other` gets this one's memory, and gives it back when it is destroyed.
    Memory &operator=(Memory &&other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }

    // Gives back the whole pages between two offsets. Their content is lost.
    void forget(size_t begin, size_t end) {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        begin = (begin + page - 1) / page * page, end = end / page * page;
#ifdef __linux__
        constexpr int kAdvice = MADV_DONTNEED;  // at once, and zero when touched again
#else
        constexpr int kAdvice = MADV_FREE;
#endif
        if (begin < end) madvise(data() + begin, end - begin, kAdvice);
    }

    uint8_t *data() const { return static_cast<uint8_t *>(data_); }
    size_t bytes() const { return bytes_; }

  private:
    void *data_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace chatglm
