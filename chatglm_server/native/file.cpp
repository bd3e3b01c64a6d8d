#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace chatglm {
namespace {

[[noreturn]] void fail(const std::string &path, const std::string &what) {
    throw std::runtime_error("cannot read " + path + ": " + what);
}

}  // namespace

File::File(const std::string &path) : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) fail(path, std::strerror(errno));
    struct stat status{};
    if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(descriptor_);
        fail(path, "it is not a regular file");
    }
    bytes_ = static_cast<uint64_t>(status.st_size);
#ifdef POSIX_FADV_SEQUENTIAL
    posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);  // the system then reads further ahead
#endif
}

File::~File() { close(descriptor_); }

void File::read(uint64_t offset, size_t bytes, uint8_t *to) const {
    while (bytes > 0) {
        const ssize_t got = pread(descriptor_, to, bytes, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(path_, std::strerror(errno));
        if (got == 0) fail(path_, "it became shorter while it was read");
        offset += static_cast<uint64_t>(got);
        to += got;
        bytes -= static_cast<size_t>(got);
    }
}

}  // namespace chatglm
