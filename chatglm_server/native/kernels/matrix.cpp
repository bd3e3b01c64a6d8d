#include "kernels/matrix.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "kernels/dequantize.h"

namespace chatglm {
namespace {

// Copies a unit of a block of `rows` rows, and zeros for the rows that are missing. Returns the place behind it.
template <class Unit>
uint8_t *pack_unit(const uint8_t *file, size_t row_bytes, int rows, uint8_t *packed) {
    if (rows == kRows) {
        for (int row = 0; row < kRows; ++row) {
            std::memcpy(packed + row * sizeof(Unit), file + row * row_bytes, sizeof(Unit));
        }
    } else {
        std::memset(packed, 0, kRows * sizeof(Unit));
        for (int row = 0; row < rows; ++row) {
            std::memcpy(packed + row * sizeof(Unit), file + row * row_bytes, sizeof(Unit));
        }
    }
    return packed + kRows * sizeof(Unit);
}

}  // namespace

Layout layout_of(Type type) {
    switch (type) {
        case Type::F32: return {1, 0, 1, 0, false};
        case Type::F16: return {1, 1, 0, 0, false};
        case Type::BF16: return {1, 1, 0, 0, false};
        case Type::Q4_0: return {32, 1, 4, 0, true};
        case Type::Q4_1: return {32, 2, 4, 0, true};
        case Type::Q5_0: return {32, 1, 5, 0, true};
        case Type::Q5_1: return {32, 2, 5, 0, true};
        case Type::Q8_0: return {32, 1, 8, 0, true};
        case Type::IQ4_NL: return {32, 1, 4, 0, true};
        case Type::Q2_K: return {256, 0, 20, 2, true};
        case Type::Q3_K: return {256, 0, 27, 1, true};
        case Type::Q4_K: return {256, 2, 35, 0, true};
        case Type::Q5_K: return {256, 2, 43, 0, true};
        case Type::Q6_K: return {256, 0, 52, 1, true};
        case Type::IQ4_XS: return {256, 2, 33, 0, true};
    }
    throw std::invalid_argument("unknown weight type");
}

void pack_group(const Matrix &matrix, int group, const uint8_t *file, uint8_t *packed) {
    const Layout layout = layout_of(matrix.type);
    const size_t row_bytes = matrix.file_row_bytes();
    const int rows = std::min(kRows, matrix.rows - group * kRows);
    for (int column = 0; column < matrix.columns; column += layout.columns) {
        for (int i = 0; i < layout.leading; ++i, file += 2) packed = pack_unit<uint16_t>(file, row_bytes, rows, packed);
        for (int i = 0; i < layout.dwords; ++i, file += 4) packed = pack_unit<uint32_t>(file, row_bytes, rows, packed);
        for (int i = 0; i < layout.trailing; ++i, file += 2)
            packed = pack_unit<uint16_t>(file, row_bytes, rows, packed);
    }
}

void decode_row(const Matrix &matrix, int row, float *out) {
    const Layout layout = layout_of(matrix.type);
    const uint8_t *packed = matrix.group(row / kRows);
    row %= kRows;
    uint8_t block[kMostFileBlock];
    for (int column = 0; column < matrix.columns; column += layout.columns) {
        uint8_t *to = block;
        const auto unpack = [&](int count, size_t unit) {
            for (int i = 0; i < count; ++i, to += unit, packed += kRows * unit) {
                std::memcpy(to, packed + row * unit, unit);
            }
        };
        unpack(layout.leading, 2);
        unpack(layout.dwords, 4);
        unpack(layout.trailing, 2);
        dequantize(matrix.type, block, out + column);
    }
}

}  // namespace chatglm
