// The networks that the core has.
#pragma once

#include <vector>

#include "arch/network.h"

namespace chatglm {

struct Architecture {
    const char *name;  // in a spec
    MakeNetwork *make;
};

const std::vector<Architecture> &architectures();

}  // namespace chatglm
