// GLM-4.5-Air (arXiv 2508.06471): attention with grouped key/value heads as in ChatGLM, whose queries and keys may have
// norms, and after some dense layers experts with DeepSeek-V3's gate.

#include <stdexcept>

#include "arch/expert_decoder.h"
#include "blocks/grouped_attention.h"

namespace chatglm {

std::unique_ptr<Network> make_glm4moe(const ModelSpec &spec, WeightPlan &plan, Compute &compute) {
    if (!spec.experts) throw std::invalid_argument("glm4moe needs the figures experts");
    // the norm after attention is not of its output: it is the one before the feed-forward network
    return std::make_unique<ExpertDecoder<GroupedAttention>>(spec, plan, compute, GroupedAttention(spec),
                                                             "post_attention_norm");
}

}  // namespace chatglm
