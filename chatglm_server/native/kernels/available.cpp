#include "kernels/kernels.h"

namespace chatglm {

std::vector<const Kernels *> available_kernels() {
    std::vector<const Kernels *> found;
#ifdef CHATGLM_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vnni");
    if (avx512) found.push_back(&kAvx512);
    if (avx2 && __builtin_cpu_supports("avxvnni")) {
        found.push_back(&kAvxVnni);
    } else if (avx2 && avx512) {
        found.push_back(&kAvxVnniEvex);
    }
    if (avx2) found.push_back(&kAvx2);
#endif
    found.push_back(&kGeneric);
    return found;
}

}  // namespace chatglm
