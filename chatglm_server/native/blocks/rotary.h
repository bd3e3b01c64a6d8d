// Rotary position embedding (Su et al., arXiv 2104.09864).
#pragma once

#include <vector>

#include "arch/network.h"
#include "compute.h"
#include "spec.h"

namespace chatglm {

// Rotates the first `size` values of a head, two by two, by angles that grow with the position: pair i by
// position * theta ^ (-2 i / size).
class Rotary {
  public:
    Rotary(int size, RotaryLayout layout, float theta);

    // Computes the angles of a pass's rows, once for all layers and heads.
    void prepare(Compute &compute, const std::vector<Row> &rows);

    // Rotates a head of the row with this index. Several threads may do so at once.
    void rotate(int row, float *head) const;

  private:
    RotaryLayout layout_;
    std::vector<float> frequencies_;      // (size / 2)
    std::vector<float> cosines_, sines_;  // (rows, size / 2)
};

}  // namespace chatglm
