// For processors with AVX-VNNI, whose vpdpbusd has a VEX prefix.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace chatglm {
namespace avxvnni {
#include "kernels/lanes_avxvnni.inc"

#include "kernels/kernels.inc"
}  // namespace avxvnni

const Kernels kAvxVnni = avxvnni::table("avxvnni");

}  // namespace chatglm
