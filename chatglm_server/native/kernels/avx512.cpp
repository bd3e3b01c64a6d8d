#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/lanes_avx512.h"

namespace chatglm {
namespace avx512 {
#include "kernels/kernels.inc"
}  // namespace avx512

const Kernels kAvx512 = avx512::table("avx512");

}  // namespace chatglm
