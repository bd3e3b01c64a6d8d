// Memory on Windows. The system takes pages where they are touched, as elsewhere, but promises all of them at once:
// they count towards its limit, which is the machine's memory and the page file.
#include "memory.h"

#include <windows.h>

#include <new>

namespace chatglm {

Memory::Memory(size_t bytes, Pages) : bytes_(bytes) {  // huge pages need a privilege that few accounts have
    if (bytes == 0) return;
    data_ = VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (data_ == nullptr) throw std::bad_alloc();
}

Memory::~Memory() {
    if (data_ != nullptr) VirtualFree(data_, 0, MEM_RELEASE);
}

void Memory::forget(size_t begin, size_t end) {
    SYSTEM_INFO system;
    GetSystemInfo(&system);
    const size_t page = system.dwPageSize;
    begin = (begin + page - 1) / page * page, end = end / page * page;
    if (begin >= end) return;
    VirtualAlloc(data() + begin, end - begin, MEM_RESET, PAGE_READWRITE);
    VirtualUnlock(data() + begin, end - begin);  // of pages that are not locked: takes them from this process at once
}

}  // namespace chatglm
