// The part of the Python binding that samples.

#include "sampler_module.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "sampler.h"
#include "thread_pool.h"

namespace nb = nanobind;

namespace chatglm {
namespace {

using Logits = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Mask = nb::ndarray<const uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Pairs = std::vector<std::pair<int, float>>;
using Request = std::tuple<Sampler *, size_t, std::vector<int>, std::vector<std::optional<Mask>>>;
using Token = std::tuple<int, float, Pairs>;

std::unique_ptr<Sampler> make_sampler(const std::vector<int> &prompt, float temperature, int top_k, float top_p,
                                      float min_p, float repetition_penalty, float presence_penalty,
                                      float frequency_penalty, const Pairs &bias, uint64_t seed, uint64_t answer,
                                      int top_logprobs) {
    const SamplingParams params{temperature,       top_k, top_p, min_p,  repetition_penalty, presence_penalty,
                                frequency_penalty, bias,  seed,  answer, top_logprobs};
    return std::make_unique<Sampler>(params, prompt);
}

// A request as the threads see it, without Python objects.
struct Work {
    Sampler *sampler;
    float *logits;
    std::vector<int> draft;
    std::vector<const uint32_t *> masks;
};

Work checked(const Request &request, const Logits &logits) {
    const auto &[sampler, row, draft, masks] = request;
    const size_t vocab = logits.shape(1);
    if (sampler == nullptr) throw std::invalid_argument("a request has no sampler");
    if (row >= logits.shape(0) || draft.size() >= logits.shape(0) - row) {
        throw std::invalid_argument("the logits have no such row");
    }
    if (!masks.empty() && masks.size() != draft.size() + 1) {
        throw std::invalid_argument("a request has masks for none of its rows, or for each");
    }
    Work work{sampler, logits.data() + row * vocab, draft, {}};
    for (const auto &mask : masks) {
        if (mask && mask->shape(0) != (vocab + 31) / 32) {
            throw std::invalid_argument("a mask has one 32-bit word for 32 tokens");
        }
        work.masks.push_back(mask ? mask->data() : nullptr);
    }
    return work;
}

std::vector<std::vector<Token>> sample(ThreadPool &pool, const Logits &logits, const std::vector<Request> &requests) {
    const size_t vocab = logits.shape(1);
    if (vocab == 0 || vocab > 1 << 24) throw std::invalid_argument("the logits need 1 to 2^24 columns");
    std::vector<Work> work;
    std::vector<bool> used(logits.shape(0));
    for (const Request &request : requests) {
        work.push_back(checked(request, logits));
        for (size_t row = 0; row <= std::get<2>(request).size(); ++row) {
            if (used[std::get<1>(request) + row]) throw std::invalid_argument("two requests have the same row");
            used[std::get<1>(request) + row] = true;
        }
    }
    std::vector<std::vector<Sampled>> sampled(work.size());
    {
        nb::gil_scoped_release released;
        pool.run(static_cast<int>(work.size()), 1, [&](int begin, int end, int) {
            for (int i = begin; i < end; ++i) {
                sampled[i] =
                    work[i].sampler->sample(work[i].logits, static_cast<int>(vocab), work[i].draft, work[i].masks);
            }
        });
    }
    std::vector<std::vector<Token>> made(work.size());
    for (size_t i = 0; i < work.size(); ++i) {
        for (Sampled &token : sampled[i]) made[i].emplace_back(token.token, token.logprob, std::move(token.top));
    }
    return made;
}

}  // namespace

void bind_sampling(nb::module_ &m) {
    nb::class_<Sampler>(m, "Sampler", "Samples the tokens of one answer, by its prompt and parameters.")
        .def(nb::new_(&make_sampler), nb::arg("prompt"), nb::kw_only(), nb::arg("temperature") = 1.0F,
             nb::arg("top_k") = 0, nb::arg("top_p") = 1.0F, nb::arg("min_p") = 0.0F,
             nb::arg("repetition_penalty") = 1.0F, nb::arg("presence_penalty") = 0.0F,
             nb::arg("frequency_penalty") = 0.0F, nb::arg("bias") = Pairs(), nb::arg("seed") = 0, nb::arg("answer") = 0,
             nb::arg("top_logprobs") = -1)
        .def("note", &Sampler::note, nb::arg("token"), "Notes a token of the answer that was not sampled.");
    m.def("sample", &sample, nb::arg("pool"), nb::arg("logits").noconvert(), nb::arg("requests"),
          "Samples for (sampler, first row, draft, masks) requests, at the same time; for each, the tokens as (token, "
          "log probability, likeliest tokens): one, and one more for each token of the draft that was sampled.");
}

}  // namespace chatglm
