// Files on Windows.
#include <windows.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <system_error>

#include "file.h"

namespace chatglm {
namespace {

[[noreturn]] void fail(const std::filesystem::path &path, const std::string &what) {
    throw std::runtime_error("cannot read " + path.u8string() + ": " + what);
}

std::string last_error() { return std::system_category().message(static_cast<int>(GetLastError())); }

HANDLE handle(intptr_t file) { return reinterpret_cast<HANDLE>(file); }

}  // namespace

File::File(const std::filesystem::path &path)
    : path_(path),
      file_(reinterpret_cast<intptr_t>(CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE,
                                                   nullptr, OPEN_EXISTING, FILE_FLAG_SEQUENTIAL_SCAN, nullptr))) {
    if (handle(file_) == INVALID_HANDLE_VALUE) fail(path, last_error());
    LARGE_INTEGER size{};
    if (GetFileType(handle(file_)) != FILE_TYPE_DISK || !GetFileSizeEx(handle(file_), &size)) {
        CloseHandle(handle(file_));
        fail(path, "it is not a regular file");
    }
    bytes_ = static_cast<uint64_t>(size.QuadPart);
}

File::~File() { CloseHandle(handle(file_)); }

void File::read(uint64_t offset, size_t bytes, uint8_t *to) const {
    while (bytes > 0) {
        OVERLAPPED place{};
        place.Offset = static_cast<DWORD>(offset);
        place.OffsetHigh = static_cast<DWORD>(offset >> 32);
        DWORD got = 0;
        const bool read =
            ReadFile(handle(file_), to, static_cast<DWORD>(std::min<size_t>(bytes, 1 << 30)), &got, &place);
        if (!read && GetLastError() != ERROR_HANDLE_EOF) fail(path_, last_error());
        if (got == 0) fail(path_, "it became shorter while it was read");
        offset += got;
        to += got;
        bytes -= got;
    }
}

}  // namespace chatglm
