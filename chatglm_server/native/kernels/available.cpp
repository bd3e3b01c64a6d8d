#include "kernels/kernels.h"

namespace chatglm {

std::vector<const Kernels *> available_kernels() {
    std::vector<const Kernels *> found;
#ifdef CHATGLM_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")) {
        found.push_back(&kAvx512);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&kAvx2);
#endif
    found.push_back(&kGeneric);
    return found;
}

}  // namespace chatglm
