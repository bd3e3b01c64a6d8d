// The Python binding: everything Python sees of the core, and nothing else.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>
#include <tuple>

#include "model.h"
#include "sampler_module.h"

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
        .def("forget", &Model::forget, nb::arg("sequence"), nb::arg("kept"), nb::call_guard<nb::gil_scoped_release>(),
             "Gives back the memory of a sequence's positions but the first.")
        .def_prop_ro("kernels", [](const Model &model) { return model.kernels().name; });
    bind_sampling(m);
}
