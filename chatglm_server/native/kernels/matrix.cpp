#include "kernels/matrix.h"

#include <cstring>

#include "kernels/half.h"

namespace chatglm {
namespace {

// Where a block of a row keeps its parts in the file.
struct FileBlock {
    const uint8_t *scale, *minimum, *fifth, *codes;

    FileBlock(const Layout &layout, const uint8_t *at) {
        scale = at;
        minimum = at + 2;
        fifth = minimum + (layout.has_minimum ? 2 : 0);
        codes = fifth + (layout.bits == 5 ? 4 : 0);
    }
};

uint16_t read_half(const uint8_t *at) {
    uint16_t half;
    std::memcpy(&half, at, 2);
    return half;
}

// The code of one of 32 columns, without the fifth bit.
int code_at(const Layout &layout, const FileBlock &block, int column) {
    if (layout.bits == 8) return static_cast<int8_t>(block.codes[column]) + 128;
    const int pair = block.codes[column % 16];
    return column < 16 ? pair & 15 : pair >> 4;
}

int fifth_bit(const FileBlock &block, int column) { return block.fifth[column / 8] >> (column % 8) & 1; }

void pack_quantized(const Layout &layout, const FileBlock &block, int row, uint8_t *out) {
    std::memcpy(out + 2 * row, block.scale, 2);
    out += 2 * kRows;
    if (layout.has_minimum) {
        std::memcpy(out + 2 * row, block.minimum, 2);
        out += 2 * kRows;
    }
    if (layout.bits == 5) {
        for (int column = 0; column < kColumns; ++column) {
            // vectors of low nibbles come first, then those of high nibbles
            const int bit = 4 * row + column % 4;
            out[8 * (column / 4) + bit / 8] |= static_cast<uint8_t>(fifth_bit(block, column) << (bit % 8));
        }
        out += 64;
    }
    for (int column = 0; column < kColumns; ++column) {
        const int code = code_at(layout, block, column);
        if (layout.bits == 8) {
            out[64 * (column / 4) + 4 * row + column % 4] = static_cast<uint8_t>(code);
        } else {
            const int low = column % 16;
            out[64 * (low / 4) + 4 * row + low % 4] |= static_cast<uint8_t>(column < 16 ? code : code << 4);
        }
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
    const size_t file_row = matrix.file_row_bytes();
    std::memset(packed, 0, matrix.group_bytes());
    for (int row = 0; row < kRows && group * kRows + row < matrix.rows; ++row) {
        const uint8_t *from = file + row * file_row;
        if (layout.quantized) {
            for (int block = 0; block < matrix.blocks(); ++block) {
                pack_quantized(layout, FileBlock(layout, from + block * layout.file_block), row,
                               packed + block * layout.packed_block);
            }
        } else {
            const size_t size = layout.bits / 8;
            for (int column = 0; column < matrix.columns; ++column) {
                std::memcpy(packed + (static_cast<size_t>(column) * kRows + row) * size, from + column * size, size);
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
