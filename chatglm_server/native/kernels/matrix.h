// A matrix of weights in the layout of the kernels.
//
// Rows are taken 16 at a time, a group; a group's columns 32 at a time, a block. So that one vector holds the same
// columns of 16 rows, a quantized block of a group is laid out as
//
//     scales    16 x float16                                   one for each row
//     minima    16 x float16                                   q4_1 and q5_1
//     fifth     8 x 8 bytes, a bit for each code of a vector   q5_0 and q5_1
//     codes     4 x 64 bytes of nibbles                        q4 and q5; 8 x 64 bytes in q8_0
//
//     a vector of codes:   row 0: c c+1 c+2 c+3 | row 1: c c+1 c+2 c+3 | … | row 15: c c+1 c+2 c+3
//
// where vector j of nibbles has columns c = 4 j in the low halves and c = 4 j + 16 in the high halves. Codes are
// unsigned: q8_0's are stored with 128 added. A code stands for scale * (code - zero) + minimum. Weights that are not
// quantized (f16, f32) are stored column by column, 16 rows of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace chatglm {

// ggml's numbers for the types of weights.
enum class Type : int { F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8 };

constexpr int kRows = 16;     // rows of a group
constexpr int kColumns = 32;  // columns of a block

struct Layout {
    bool quantized;
    int bits;  // of a code, or of a weight that is not quantized
    bool has_minimum;
    int zero;             // the code that stands for zero, without a minimum
    size_t file_block;    // bytes of 32 columns of one row in the file
    size_t packed_block;  // bytes of 32 columns of 16 rows
};

// Throws std::invalid_argument for an unknown type. Static: each family of kernels is compiled for its own processors,
// and the others must not call its copy.
static inline Layout layout_of(Type type) {
    switch (type) {
        case Type::F32: return {false, 32, false, 0, 128, 2048};
        case Type::F16: return {false, 16, false, 0, 64, 1024};
        case Type::Q4_0: return {true, 4, false, 8, 18, 32 + 256};
        case Type::Q4_1: return {true, 4, true, 0, 20, 64 + 256};
        case Type::Q5_0: return {true, 5, false, 16, 22, 32 + 64 + 256};
        case Type::Q5_1: return {true, 5, true, 0, 24, 64 + 64 + 256};
        case Type::Q8_0: return {true, 8, false, 128, 34, 32 + 512};
    }
    throw std::invalid_argument("unknown weight type");
}

// A packed matrix; it does not own `data`. Rows that fill up the last group are zero.
struct Matrix {
    const uint8_t *data = nullptr;
    Type type = Type::F32;
    int rows = 0, columns = 0;

    int groups() const { return (rows + kRows - 1) / kRows; }
    int blocks() const { return columns / kColumns; }
    size_t group_bytes() const { return blocks() * layout_of(type).packed_block; }
    size_t bytes() const { return groups() * group_bytes(); }
    size_t file_row_bytes() const { return blocks() * layout_of(type).file_block; }
    const uint8_t *group(int index) const { return data + index * group_bytes(); }
};

// Packs a group of 16 rows. `file` is the group's first row in the file's layout.
void pack_group(const Matrix &matrix, int group, const uint8_t *file, uint8_t *packed);

// Writes a row's `columns` values as floats.
void decode_row(const Matrix &matrix, int row, float *out);

}  // namespace chatglm
