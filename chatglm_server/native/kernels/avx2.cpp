#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/lanes_avx2.h"

namespace chatglm {
namespace avx2 {
#include "kernels/kernels.inc"
}  // namespace avx2

const Kernels kAvx2 = avx2::table("avx2");

}  // namespace chatglm
