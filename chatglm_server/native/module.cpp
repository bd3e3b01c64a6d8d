// The Python binding: everything Python sees of the core, and nothing else.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>
#include <tuple>

#include "model.h"
#include "sampler.h"

namespace nb = nanobind;
using namespace chatglm;

namespace {

std::vector<const Kernels *> kernels_here() {
    std::vector<const Kernels *> found;
#ifdef CHATGLM_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")) {
        found.push_back(&kAvx512);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&kAvx2);
#endif
    found.push_back(&kGeneric);
    return found;
}

const Kernels &kernels_by_name(const std::string &name) {
    for (const Kernels *kernels : kernels_here()) {
        if (name == "auto" || name == kernels->name) return *kernels;
    }
    throw std::invalid_argument("this processor has no " + name);
}

using Tensor = std::tuple<std::string, int, int64_t, int64_t, uint64_t, uint64_t>;
using Rows = std::vector<std::tuple<int, int, int>>;

std::unique_ptr<Model> make(const std::string &path, const std::vector<Tensor> &tensors, int vocab, int hidden,
                            int heads, int kv_heads, int layers, int ffn, int context, float epsilon, float theta,
                            int sequences, int threads, const std::string &cpu) {
    std::vector<FileTensor> file;
    for (const auto &[name, type, rows, columns, offset, bytes] : tensors) {
        file.push_back({name, static_cast<Type>(type), rows, columns, offset, bytes});
    }
    const Config config{vocab, hidden, heads, kv_heads, layers, ffn, context, epsilon, theta};
    nb::gil_scoped_release released;
    return std::make_unique<Model>(path, config, file, sequences, threads, kernels_by_name(cpu));
}

using Logits = nb::ndarray<nb::array_api, float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

Logits forward(Model &model, const Rows &rows, const std::vector<int> &wanted) {
    std::vector<Row> own;
    for (const auto &[sequence, position, token] : rows) own.push_back({sequence, position, token});
    if (wanted.size() > rows.size()) throw std::invalid_argument("more logits than rows");
    const size_t vocab = model.config().vocab;
    std::unique_ptr<float[]> logits(new float[wanted.size() * vocab]);
    {
        nb::gil_scoped_release released;
        model.forward(own, wanted, logits.get());
    }
    float *data = logits.release();
    nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<float *>(p); });
    return Logits(data, {wanted.size(), vocab}, owner);
}

using Top = std::vector<std::pair<int, float>>;

std::tuple<int, float, Top> sample(Sampler &sampler, Logits logits, size_t row, const std::vector<int> &allowed) {
    if (row >= logits.shape(0)) throw std::invalid_argument("no such row");
    if (logits.shape(1) == 0 || logits.shape(1) > 1 << 24) throw std::invalid_argument("this is no row of logits");
    const int vocab = static_cast<int>(logits.shape(1));
    for (int token : allowed) {
        if (token < 0 || token >= vocab) throw std::invalid_argument("no such token");
    }
    float *data = logits.data() + row * vocab;
    nb::gil_scoped_release released;
    Sampled made = sampler.sample(data, vocab, allowed);
    return {made.token, made.logprob, std::move(made.top)};
}

std::unique_ptr<Sampler> make_sampler(const std::vector<int> &prompt, float temperature, int top_k, float top_p,
                                      float min_p, float repetition_penalty, float presence_penalty,
                                      float frequency_penalty, const Top &bias, uint64_t seed, int top_logprobs) {
    const SamplingParams params{temperature,       top_k, top_p, min_p,       repetition_penalty, presence_penalty,
                                frequency_penalty, bias,  seed,  top_logprobs};
    return std::make_unique<Sampler>(params, prompt);
}

}  // namespace

NB_MODULE(chatglm_native, m) {
    m.doc() = "The compute core: ChatGLM2, ChatGLM3 and GLM-4 on a CPU.";
    m.def(
        "kernels",
        [] {
            std::vector<std::string> names;
            for (const Kernels *kernels : kernels_here()) names.emplace_back(kernels->name);
            return names;
        },
        "Names of the kernels that this processor can run, the fastest first.");
    nb::class_<Model>(m, "Model", "Weights and the key/value caches of a number of sequences.")
        .def(nb::new_(&make), nb::arg("path"), nb::arg("tensors"), nb::kw_only(), nb::arg("vocab"), nb::arg("hidden"),
             nb::arg("heads"), nb::arg("kv_heads"), nb::arg("layers"), nb::arg("ffn"), nb::arg("context"),
             nb::arg("epsilon"), nb::arg("theta"), nb::arg("sequences"), nb::arg("threads"), nb::arg("cpu") = "auto")
        .def("forward", &forward, nb::arg("rows"), nb::arg("wanted"),
             "Reads (sequence, position, token) rows in one pass; returns the logits after the wanted ones.")
        .def("copy", &Model::copy, nb::arg("source"), nb::arg("target"), nb::arg("count"),
             nb::call_guard<nb::gil_scoped_release>(),
             "Makes the first positions of the target those of the source; what the target held is lost.")
        .def("forget", &Model::forget, nb::arg("sequence"), nb::call_guard<nb::gil_scoped_release>(),
             "Gives back the memory of a sequence's cache.")
        .def_prop_ro("kernels", [](const Model &model) { return model.kernels().name; });
    nb::class_<Sampler>(m, "Sampler", "Draws the tokens of one sequence from its logits.")
        .def(nb::new_(&make_sampler), nb::arg("prompt"), nb::kw_only(), nb::arg("temperature"), nb::arg("top_k"),
             nb::arg("top_p"), nb::arg("min_p"), nb::arg("repetition_penalty"), nb::arg("presence_penalty"),
             nb::arg("frequency_penalty"), nb::arg("bias"), nb::arg("seed"), nb::arg("top_logprobs"))
        .def("sample", &sample, nb::arg("logits").noconvert(), nb::arg("row"), nb::arg("allowed") = std::vector<int>(),
             "Draws from a row of logits, which it changes: (token, log probability, likeliest tokens).")
        .def("note", &Sampler::note, nb::arg("token"), "Takes note of a token of the answer that was not drawn.");
}
