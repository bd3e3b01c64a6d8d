// Memory on Linux and macOS.
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace chatglm {

Memory::Memory(size_t bytes, Pages pages) : bytes_(bytes) {
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

Memory::~Memory() {
    if (data_ != nullptr) munmap(data_, bytes_);
}

void Memory::forget(size_t begin, size_t end) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    begin = (begin + page - 1) / page * page, end = end / page * page;
#ifdef __linux__
    constexpr int kAdvice = MADV_DONTNEED;  // at once, and zero when touched again
#else
    constexpr int kAdvice = MADV_FREE;
#endif
    if (begin < end) madvise(data() + begin, end - begin, kAdvice);
}

}  // namespace chatglm
