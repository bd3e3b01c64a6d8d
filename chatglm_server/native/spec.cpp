#include "spec.h"

#include <cmath>
#include <stdexcept>

namespace chatglm {
namespace {

void check_size(const char *name, int value, int most, int multiple = 1) {
    if (0 < value && value <= most && value % multiple == 0) return;
    std::string text =
        std::string(name) + " is " + std::to_string(value) + "; the core runs 1 to " + std::to_string(most);
    if (multiple > 1) text += ", in multiples of " + std::to_string(multiple);
    throw std::invalid_argument(text);
}

void check_positive(const char *name, float value) {
    if (value > 0 && std::isfinite(value)) return;
    throw std::invalid_argument(std::string(name) + " is not a finite number above 0");
}

}  // namespace

void ModelSpec::check() const {
    check_size("vocab_size", vocab_size, 1 << 24);
    check_size("hidden_size", hidden_size, 1 << 20, 32);
    check_size("layers", layers, 1 << 10);
    check_size("heads", heads, 1 << 12);
    check_size("kv_heads", kv_heads, heads);
    check_size("key_size", key_size, 1 << 14, 16);
    check_size("value_size", value_size, 1 << 14, 16);
    check_size("rotary_size", rotary_size, key_size, 2);
    check_size("ffn_size", ffn_size, 1 << 22, 32);
    if (heads % kv_heads != 0) throw std::invalid_argument("heads is not a multiple of kv_heads");
    if (heads * value_size % 32 != 0) throw std::invalid_argument("heads * value_size is not a multiple of 32");
    check_positive("norm_epsilon", norm_epsilon);
    check_positive("rope_theta", rope_theta);
    if (latent) {
        check_size("query_rank", latent->query_rank, 1 << 14, 32);
        check_size("rank", latent->rank, 1 << 14, 32);
        check_size("rotary_size", rotary_size, key_size, 16);
        check_size("key_size - rotary_size", key_size - rotary_size, 1 << 14, 32);
    }
    if (experts) {
        check_size("count of experts", experts->count, 1 << 10);
        check_size("used of experts", experts->used, experts->count);
        check_size("ffn_size of experts", experts->ffn_size, 1 << 18, 32);
        check_size("shared_ffn_size of experts", experts->shared_ffn_size, 1 << 22, 32);
        if (experts->dense_layers < 0 || experts->dense_layers > layers) {
            throw std::invalid_argument("dense_layers of experts is not between 0 and layers");
        }
        check_positive("scale of experts", experts->scale);
    }
}

}  // namespace chatglm
