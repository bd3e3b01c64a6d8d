// Files on Linux and macOS.
#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace chatglm {
namespace {

[[noreturn]] void fail(const std::filesystem::path &path, const std::string &what) {
    throw std::runtime_error("cannot read " + path.string() + ": " + what);
}

}  // namespace

File::File(const std::filesystem::path &path) : path_(path), file_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (file_ < 0) fail(path, std::strerror(errno));
    const int descriptor = static_cast<int>(file_);
    struct stat status{};
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(descriptor);
        fail(path, "it is not a regular file");
    }
    bytes_ = static_cast<uint64_t>(status.st_size);
#ifdef POSIX_FADV_SEQUENTIAL
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);  // the system then reads further ahead
#endif
}

File::~File() { close(static_cast<int>(file_)); }

void File::read(uint64_t offset, size_t bytes, uint8_t *to) const {
    while (bytes > 0) {
        const ssize_t got = pread(static_cast<int>(file_), to, bytes, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(path_, std::strerror(errno));
        if (got == 0) fail(path_, "it became shorter while it was read");
        offset += static_cast<uint64_t>(got);
        to += got;
        bytes -= static_cast<size_t>(got);
    }
}

}  // namespace chatglm
