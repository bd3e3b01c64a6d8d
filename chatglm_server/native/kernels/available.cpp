#include "kernels/kernels.h"

#if defined(CHATGLM_ARM) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace chatglm {

#ifdef CHATGLM_ARM
// Instructions for dot products of bytes: Apple's processors all have them.
static bool has_dot_products() {
#ifdef __linux__
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
    return true;
#endif
}
#endif

std::vector<const Kernels *> available_kernels() {
    std::vector<const Kernels *> found;
#ifdef CHATGLM_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vnni");
    if (avx512) found.push_back(&kAvx512);
    if (avx2 && avx512) {
        found.push_back(&kAvxVnniEvex);  // with more registers than kAvxVnni
    } else if (avx2 && __builtin_cpu_supports("avxvnni")) {
        found.push_back(&kAvxVnni);
    }
    if (avx2) found.push_back(&kAvx2);
#endif
#ifdef CHATGLM_ARM
    if (has_dot_products()) found.push_back(&kNeon);
#endif
    found.push_back(&kGeneric);
    return found;
}

}  // namespace chatglm
