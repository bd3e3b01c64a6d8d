// GLM-4.7-Flash, whose network is DeepSeek-V2's (arXiv 2405.04434): latent attention, and after some dense layers
// experts with DeepSeek-V3's gate.

#include <stdexcept>

#include "arch/expert_decoder.h"
#include "blocks/latent_attention.h"

namespace chatglm {

std::unique_ptr<Network> make_deepseek2(const ModelSpec &spec, WeightPlan &plan, Compute &compute) {
    if (!spec.latent || !spec.experts) throw std::invalid_argument("deepseek2 needs the figures latent and experts");
    LatentAttention attention(spec, *spec.latent);
    return std::make_unique<ExpertDecoder<LatentAttention>>(spec, plan, compute, std::move(attention), "ffn_norm");
}

}  // namespace chatglm
