#include "kernels/matrix.h"

#include <cstring>
#include <stdexcept>
#include <vector>

#include "kernels/dequantize.h"

namespace chatglm {
namespace {

// How far ahead of what is written memory is asked for, in bytes: new memory was cleared by the system, and has left
// the nearer caches since.
constexpr size_t kAhead = 8192;

// Copies a unit of a block of 16 rows. Returns the place behind it.
template <size_t Size>
uint8_t *pack_unit(const uint8_t *rows, size_t row_bytes, uint8_t *packed) {
    for (int row = 0; row < kRows; ++row) std::memcpy(packed + row * Size, rows + row * row_bytes, Size);
    return packed + kRows * Size;
}

// Copies four dwords of a block of 16 rows, four rows at a time: a square of 4 x 4 is transposed in registers of 16
// bytes, which every processor has. Returns the place behind them.
uint8_t *pack_four_dwords(const uint8_t *rows, size_t row_bytes, uint8_t *packed) {
#if __has_builtin(__builtin_shufflevector)
    using Four [[gnu::vector_size(16)]] = uint32_t;
    for (int row = 0; row < kRows; row += 4) {
        Four a, b, c, d;
        std::memcpy(&a, rows + row * row_bytes, sizeof a);
        std::memcpy(&b, rows + (row + 1) * row_bytes, sizeof b);
        std::memcpy(&c, rows + (row + 2) * row_bytes, sizeof c);
        std::memcpy(&d, rows + (row + 3) * row_bytes, sizeof d);
        const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                   ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
                   cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        const Four columns[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                                 __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                                 __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                                 __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
        for (int i = 0; i < 4; ++i) std::memcpy(packed + (i * kRows + row) * 4, &columns[i], sizeof(Four));
    }
#else  // GCC before 12
    for (int i = 0; i < 4; ++i) pack_unit<4>(rows + 4 * i, row_bytes, packed + 4 * i * kRows);
#endif
    return packed + 4 * kRows * 4;
}

uint64_t load(const uint8_t *from) {
    uint64_t eight;
    std::memcpy(&eight, from, sizeof eight);
    return eight;
}

void store(uint8_t *to, uint64_t eight) { std::memcpy(to, &eight, sizeof eight); }

// Transposes 16 rows of `row_bytes` bytes, numbers of `Size` bytes, in registers of 8. A line of the cache, 64 bytes,
// is used up before those of other rows come: rows whose distance is a power of two displace each other.
template <size_t Size>
void transpose(const uint8_t *rows, size_t row_bytes, uint8_t *packed) {
    constexpr size_t line = 64, next = Size * kRows;  // `next`: from a number to the next of its row
    constexpr uint64_t low = 0xffffffff, even = 0x0000ffff0000ffff;
    for (size_t at = 0; at < row_bytes; at += line) {
        for (size_t row = 0; row < kRows; row += 8 / Size) {
            for (size_t i = at; i < at + line; i += 8) {
                const uint8_t *from = rows + row * row_bytes + i;
                uint8_t *to = packed + i * kRows + row * Size;
                const uint64_t a = load(from), b = load(from + row_bytes);
                if constexpr (Size == 4) {
                    store(to, (a & low) | b << 32);
                    store(to + next, a >> 32 | (b & ~low));
                } else {
                    const uint64_t c = load(from + 2 * row_bytes), d = load(from + 3 * row_bytes);
                    const uint64_t ab_even = (a & even) | (b & even) << 16, ab_odd = (a >> 16 & even) | (b & ~even);
                    const uint64_t cd_even = (c & even) | (d & even) << 16, cd_odd = (c >> 16 & even) | (d & ~even);
                    store(to, (ab_even & low) | cd_even << 32);
                    store(to + next, (ab_odd & low) | cd_odd << 32);
                    store(to + 2 * next, ab_even >> 32 | (cd_even & ~low));
                    store(to + 3 * next, ab_odd >> 32 | (cd_odd & ~low));
                }
            }
        }
    }
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

void pack_group(const Matrix &matrix, const uint8_t *rows, uint8_t *packed) {
    const Layout layout = layout_of(matrix.type);
    const size_t row_bytes = matrix.file_row_bytes();
    if (!layout.quantized) {  // kColumns numbers are whole lines
        (layout.dwords == 1 ? transpose<4> : transpose<2>)(rows, row_bytes, packed);
        return;
    }
    const size_t block_bytes = layout.packed_block();
    for (int column = 0; column < matrix.columns; column += layout.columns) {
        for (size_t line = 0; line < block_bytes; line += 64) __builtin_prefetch(packed + kAhead + line, 1);
        for (int i = 0; i < layout.leading; ++i, rows += 2) packed = pack_unit<2>(rows, row_bytes, packed);
        int i = 0;
        for (; i + 4 <= layout.dwords; i += 4, rows += 16) packed = pack_four_dwords(rows, row_bytes, packed);
        for (; i < layout.dwords; ++i, rows += 4) packed = pack_unit<4>(rows, row_bytes, packed);
        for (int i = 0; i < layout.trailing; ++i, rows += 2) packed = pack_unit<2>(rows, row_bytes, packed);
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
