#include "kernels/matrix.h"

#include <algorithm>
#include <cstring>

#include "kernels/half.h"

namespace chatglm {
namespace {

uint16_t read_half(const uint8_t *at) {
    uint16_t half;
    std::memcpy(&half, at, 2);
    return half;
}

// Packs one block of a row. A byte of nibbles has the columns c and c + 16 in the file, too, so bytes move four at a
// time.
void pack_block(const Layout &layout, const uint8_t *file, int row, uint8_t *out) {
    for (int part = 0; part < (layout.has_minimum ? 2 : 1); ++part) {  // scale and minimum
        std::memcpy(out + 2 * row, file, 2);
        file += 2, out += 2 * kRows;
    }
    if (layout.bits == 5) {
        for (int vector = 0; vector < 8; ++vector) {
            const int bits = file[vector / 2] >> (vector % 2 * 4) & 15;
            out[8 * vector + row / 2] |= static_cast<uint8_t>(bits << (row % 2 * 4));
        }
        file += 4, out += 64;
    }
    const uint32_t sign = layout.bits == 8 ? 0x80808080 : 0;  // flipped, it adds 128
    for (int vector = 0; vector < (layout.bits == 8 ? 8 : 4); ++vector) {
        uint32_t four;
        std::memcpy(&four, file + 4 * vector, 4);
        four ^= sign;
        std::memcpy(out + 64 * vector + 4 * row, &four, 4);
    }
}

template <class Weight>
void pack_row(const uint8_t *file, int columns, int row, uint8_t *packed) {
    for (int column = 0; column < columns; ++column) {
        std::memcpy(packed + (static_cast<size_t>(column) * kRows + row) * sizeof(Weight),
                    file + column * sizeof(Weight), sizeof(Weight));
    }
}

// Writes the values of a row's 32 columns in a packed block.
void decode_block(const Layout &layout, const uint8_t *block, int row, float *out) {
    const float scale = half_to_float(read_half(block + 2 * row));
    const float minimum = layout.has_minimum ? half_to_float(read_half(block + 2 * (kRows + row))) : 0.0f;
    const uint8_t *fifth = block + 2 * kRows * (layout.has_minimum ? 2 : 1);
    const uint8_t *codes = fifth + (layout.bits == 5 ? 64 : 0);
    for (int column = 0; column < kColumns; ++column) {
        int code;
        if (layout.bits == 8) {
            code = codes[64 * (column / 4) + 4 * row + column % 4];
        } else {
            const int low = column % 16, pair = codes[64 * (low / 4) + 4 * row + low % 4];
            code = column < 16 ? pair & 15 : pair >> 4;
        }
        if (layout.bits == 5) {
            const int bit = 4 * row + column % 4;
            code += (fifth[8 * (column / 4) + bit / 8] >> (bit % 8) & 1) << 4;
        }
        out[column] = scale * static_cast<float>(code - layout.zero) + minimum;
    }
}

}  // namespace

void pack_group(const Matrix &matrix, int group, const uint8_t *file, uint8_t *packed) {
    const Layout layout = layout_of(matrix.type);
    const int rows = std::min(kRows, matrix.rows - group * kRows);
    std::memset(packed, 0, matrix.group_bytes());
    for (int row = 0; row < rows; ++row, file += matrix.file_row_bytes()) {
        if (matrix.type == Type::F32) {
            pack_row<float>(file, matrix.columns, row, packed);
        } else if (matrix.type == Type::F16) {
            pack_row<uint16_t>(file, matrix.columns, row, packed);
        } else {
            for (int block = 0; block < matrix.blocks(); ++block) {
                pack_block(layout, file + block * layout.file_block, row, packed + block * layout.packed_block);
            }
        }
    }
}

void decode_row(const Matrix &matrix, int row, float *out) {
    const Layout layout = layout_of(matrix.type);
    const uint8_t *group = matrix.group(row / kRows);
    row %= kRows;
    if (layout.quantized) {
        for (int block = 0; block < matrix.blocks(); ++block) {
            decode_block(layout, group + block * layout.packed_block, row, out + block * kColumns);
        }
        return;
    }
    for (int column = 0; column < matrix.columns; ++column) {
        const size_t place = static_cast<size_t>(column) * kRows + row;
        if (matrix.type == Type::F32) {
            std::memcpy(out + column, group + 4 * place, 4);
        } else {
            out[column] = half_to_float(read_half(group + 2 * place));
        }
    }
}

}  // namespace chatglm
