// The number of threads that chatglm-cpp computes with: one for each processor that the process may use, and not one for
// each of the machine's. Its threads spin while they wait for each other; more of them than processors make it crawl.
#include <sched.h>
#include <thread>

unsigned int std::thread::hardware_concurrency() noexcept {
    cpu_set_t cpus;
    return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}
