// How the queries of a pass are shared out, so that what one task reads of the cache serves many of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "arch/network.h"
#include "kernels/kernels.h"

namespace chatglm {

// Some queries of one slot and one key/value head, which are computed together. Query i of a key/value head is one of
// row i / group.
struct QueryPiece {
    int begin, end;
};

// `group` queries of a row share a key/value head, and each piece is computed `times`, for other heads or positions.
// All threads get some of these, also if a pass has a single row.
inline std::vector<QueryPiece> query_pieces(const std::vector<Row> &rows, int group, int times, int threads) {
    const int share = static_cast<int>(int64_t(rows.size()) * group * times / threads);
    const int most = std::clamp(share / 8 * 8, 8, kQueries);
    std::vector<QueryPiece> pieces;
    for (int t = 0; t < static_cast<int>(rows.size()); ++t) {
        const bool same_slot = t > 0 && rows[t].slot == rows[t - 1].slot;
        for (int query = t * group; query < (t + 1) * group; ++query) {
            const bool joins = (same_slot || query > t * group) && query - pieces.back().begin < most;
            if (!joins) pieces.push_back({query, query});
            pieces.back().end = query + 1;
        }
    }
    return pieces;
}

}  // namespace chatglm
