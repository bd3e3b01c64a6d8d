#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/lanes_generic.h"

namespace chatglm {
namespace generic {
#include "kernels/kernels.inc"
}  // namespace generic

const Kernels kGeneric = generic::table("generic");

}  // namespace chatglm
