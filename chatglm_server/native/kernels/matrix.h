// A matrix of weights in the layout of the kernels.
//
// A row of a file is a sequence of blocks of 1, 32 or 256 columns. Whatever its type, a block is some halves (of two
// bytes, mostly scales), then some dwords (of four bytes, mostly codes), then some halves:
//
//     in the file      row 0: h0 h1 d0 d1 d2 …  (next block of row 0) …   row 1: h0 h1 d0 d1 d2 …
//     packed           h0 of rows 0 … 15 | h1 of rows 0 … 15 | d0 of rows 0 … 15 | d1 of rows 0 … 15 | …
//
// Packed, 16 rows are a group, and each half and each dword of a block lies beside those of the group's other rows. So
// one vector holds the same columns of 16 rows. Nothing else changes, and no byte is added but rows of zeros that fill
// up the last group.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chatglm {

// ggml's numbers for the types of weights.
enum class Type : int {
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    Q2_K = 10,
    Q3_K = 11,
    Q4_K = 12,
    Q5_K = 13,
    Q6_K = 14,
    IQ4_NL = 20,
    IQ4_XS = 23,
    BF16 = 30,
};

constexpr int kRows = 16;          // rows of a group
constexpr int kColumns = 32;       // columns of a block of activations
constexpr int kMostColumns = 256;  // columns of the largest block of weights

// The block of a type.
struct Layout {
    int columns;
    int leading, dwords, trailing;  // halves, dwords, halves
    bool quantized;

    size_t file_block() const { return 2 * size_t(leading) + 4 * size_t(dwords) + 2 * size_t(trailing); }
    size_t packed_block() const { return kRows * file_block(); }
};

// Throws std::invalid_argument for an unknown type.
Layout layout_of(Type type);

// A packed matrix; it does not own `data`.
struct Matrix {
    const uint8_t *data = nullptr;
    Type type = Type::F32;
    int rows = 0, columns = 0;

    int groups() const { return (rows + kRows - 1) / kRows; }
    size_t file_row_bytes() const {
        const Layout layout = layout_of(type);
        return columns / layout.columns * layout.file_block();
    }
    size_t group_bytes() const { return kRows * file_row_bytes(); }
    size_t bytes() const { return groups() * group_bytes(); }
    const uint8_t *group(int index) const { return data + index * group_bytes(); }
};

// Packs a group: 16 rows in the file's layout, of which the last group may lack some and has zeros instead.
void pack_group(const Matrix &matrix, const uint8_t *rows, uint8_t *packed);

// Writes a row's `columns` values as floats.
void decode_row(const Matrix &matrix, int row, float *out);

}  // namespace chatglm
