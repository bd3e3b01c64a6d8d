#include "probe.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "blocks/linear.h"
#include "memory.h"

namespace chatglm {
namespace {

constexpr int kProbeColumns = 4096;
constexpr size_t kProbeBytes = size_t(192) << 20;  // more than the caches of laptops
constexpr int kProbeTokens = 128;

// Runs `pass` for about `seconds`, at least once after a first one that is not timed. Returns passes a second.
template <class Pass>
double rate(double seconds, const Pass &pass) {
    using Clock = std::chrono::steady_clock;
    pass();
    const Clock::time_point start = Clock::now();
    int passes = 0;
    double elapsed = 0;
    while (elapsed < seconds) {
        pass();
        ++passes;
        elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    return passes / elapsed;
}

}  // namespace

Speed measure_speed(Compute &compute, Type type, double seconds) {
    Matrix weights{nullptr, type, kRows, kProbeColumns};
    weights.rows = static_cast<int>(kProbeBytes / weights.group_bytes() * kRows);
    const Memory memory(weights.bytes(), Pages::Huge);
    // Any weights will do but NaNs and subnormal numbers, which some processors compute slowly. As float16 this byte
    // gives 0.07, as float32 2e-12.
    std::memset(memory.data(), 0x2c, memory.bytes());
    weights.data = memory.data();
    std::vector<float> x(size_t(kProbeTokens) * kProbeColumns, 0.5f), out(size_t(kProbeTokens) * weights.rows);
    Speed speed{};
    speed.bytes = static_cast<double>(weights.bytes()) *
                  rate(seconds / 2, [&] { multiply(compute, weights, x.data(), 1, out.data()); });
    // A part of the rows: so a pass takes a fraction of a second on a slow machine, too.
    weights.rows = std::min(weights.rows, 4096);
    speed.products = double(weights.rows) * kProbeColumns * kProbeTokens *
                     rate(seconds / 2, [&] { multiply(compute, weights, x.data(), kProbeTokens, out.data()); });
    return speed;
}

}  // namespace chatglm
