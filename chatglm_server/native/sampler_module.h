#pragma once

#include <nanobind/nanobind.h>

namespace chatglm {

// Adds Sampler and sample.
void bind_sampling(nanobind::module_ &m);

}  // namespace chatglm
