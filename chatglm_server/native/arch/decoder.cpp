#include "arch/decoder.h"

#include <cstring>

#include "blocks/linear.h"
#include "blocks/norm.h"

namespace chatglm {

Decoder::Decoder(const ModelSpec &spec, WeightPlan &plan, Compute &compute, const std::string &ffn_norm)
    : compute_(compute),
      rotary_(spec.rotary_size, spec.rotary_layout, spec.rope_theta),
      hidden_size_(spec.hidden_size),
      vocab_size_(spec.vocab_size),
      epsilon_(spec.norm_epsilon) {
    plan.matrix(embedding_, "token_embd.weight", vocab_size_, hidden_size_);
    for (int i = 0; i < spec.layers; ++i) {
        Norms &norms = norms_.emplace_back();
        const std::string post_attention = prefix(i) + "post_attention_norm", before_ffn = prefix(i) + ffn_norm;
        plan.vector(norms.attention, prefix(i) + "attn_norm.weight", hidden_size_);
        norms.post_attention = nullptr;
        if (before_ffn != post_attention) {
            plan.optional_vector(norms.post_attention, post_attention + ".weight", hidden_size_);
        }
        plan.vector(norms.feed_forward, before_ffn + ".weight", hidden_size_);
        plan.optional_vector(norms.post_feed_forward, prefix(i) + "post_ffw_norm.weight", hidden_size_);
    }
    plan.vector(output_norm_, "output_norm.weight", hidden_size_);
    tied_ = !plan.has("output.weight");
    if (!tied_) plan.matrix(output_, "output.weight", vocab_size_, hidden_size_);
}

void Decoder::forward(const std::vector<Row> &rows, const std::vector<int> &wanted, KVCache &cache, float *logits) {
    const int tokens = static_cast<int>(rows.size());
    x_.resize(rows.size() * hidden_size_);
    compute_.pool.run(tokens, 8, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) decode_row(embedding_, rows[t].token, &x_[size_t(t) * hidden_size_]);
    });
    rotary_.prepare(compute_, rows);
    for (size_t i = 0; i < norms_.size(); ++i) run_layer(static_cast<int>(i), rows, cache);

    const int count = static_cast<int>(wanted.size());
    normed_.resize(size_t(count) * hidden_size_);
    for (int i = 0; i < count; ++i) {
        std::memcpy(&normed_[size_t(i) * hidden_size_], &x_[size_t(wanted[i]) * hidden_size_],
                    hidden_size_ * sizeof(float));
    }
    normalize(compute_, normed_.data(), output_norm_, count, hidden_size_, epsilon_, normed_.data());
    multiply(compute_, tied_ ? embedding_ : output_, normed_.data(), count, logits);
}

void Decoder::run_layer(int index, const std::vector<Row> &rows, KVCache &cache) {
    const Norms &norms = norms_[index];
    const int tokens = static_cast<int>(rows.size());
    normed_.resize(x_.size());
    projected_.resize(x_.size());
    normalize(compute_, x_.data(), norms.attention, tokens, hidden_size_, epsilon_, normed_.data());
    attend(index, rows, cache, normed_.data(), projected_.data());
    add_projected(norms.post_attention, tokens);

    normalize(compute_, x_.data(), norms.feed_forward, tokens, hidden_size_, epsilon_, normed_.data());
    feed_forward(index, tokens, normed_.data(), projected_.data());
    add_projected(norms.post_feed_forward, tokens);
}

void Decoder::add_projected(const float *norm, int tokens) {
    if (norm != nullptr) {
        normalize(compute_, projected_.data(), norm, tokens, hidden_size_, epsilon_, projected_.data());
    }
    for (size_t i = 0; i < x_.size(); ++i) x_[i] += projected_[i];
}

}  // namespace chatglm
