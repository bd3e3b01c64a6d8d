#include "arch/registry.h"

namespace chatglm {

// A line for each: its name in a spec, and the function in this folder that makes it.
#define CHATGLM_NETWORKS(NETWORK)                                        \
    NETWORK("chatglm", make_chatglm)     /* ChatGLM2, ChatGLM3, GLM-4 */ \
    NETWORK("deepseek2", make_deepseek2) /* GLM-4.7-Flash */             \
    NETWORK("glm4moe", make_glm4moe)     /* GLM-4.5-Air */

#define DECLARE(name, make) MakeNetwork make;
CHATGLM_NETWORKS(DECLARE)
#undef DECLARE

const std::vector<Architecture> &architectures() {
#define ENTRY(name, make) {name, make},
    static const std::vector<Architecture> all = {CHATGLM_NETWORKS(ENTRY)};
#undef ENTRY
    return all;
}

}  // namespace chatglm
