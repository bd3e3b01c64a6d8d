// The same for processors that have AVX-512 VNNI: vpdpbusd with an EVEX prefix, which knows twice as many registers. It
// is chosen by name only.
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
namespace avxvnni_evex {
#include "kernels/lanes_avxvnni.inc"

#include "kernels/kernels.inc"
}  // namespace avxvnni_evex

const Kernels kAvxVnniEvex = avxvnni_evex::table("avxvnni");

}  // namespace chatglm
