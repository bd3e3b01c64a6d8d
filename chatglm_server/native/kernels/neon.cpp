#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/lanes_neon.h"

namespace chatglm {
namespace neon {
#include "kernels/kernels.inc"
}  // namespace neon

const Kernels kNeon = neon::table("neon");

}  // namespace chatglm
