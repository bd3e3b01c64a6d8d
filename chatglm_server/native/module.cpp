// The Python binding: everything Python sees of the core, and nothing else.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <tuple>

#include "loaded_matrix.h"
#include "model.h"
#include "probe.h"
#include "sampler_module.h"

namespace nb = nanobind;
using namespace chatglm;

namespace {

const Kernels &kernels_by_name(const std::string &name) {
    for (const Kernels *kernels : available_kernels()) {
        if (name == "auto" || name == kernels->name) return *kernels;
    }
    throw std::invalid_argument("this processor cannot run the kernels " + name);
}

void check_threads(int threads) {
    if (threads < 1 || threads > 1024) throw std::invalid_argument("threads is not between 1 and 1024");
}

std::shared_ptr<ThreadPool> make_pool(int threads) {
    check_threads(threads);
    return std::make_shared<ThreadPool>(threads);
}

void resize_pool(ThreadPool &pool, int threads) {
    check_threads(threads);
    pool.resize(threads);
}

// Throws std::invalid_argument, which names the value.
template <class T>
T checked_cast(nb::handle object, const char *name) {
    T value;
    if (!nb::try_cast<T>(object, value)) {
        throw std::invalid_argument(std::string(name) + " is of a wrong type, or out of range");
    }
    return value;
}

// An attribute of a ModelSpec or of one of its tensors.
template <class T>
T attribute(nb::handle object, const char *name) {
    return checked_cast<T>(object.attr(name), name);
}

RotaryLayout rotary_layout(const std::string &name) {
    if (name == "interleaved") return RotaryLayout::Interleaved;
    if (name == "halves") return RotaryLayout::Halves;
    throw std::invalid_argument("rotary_layout is neither interleaved nor halves");
}

CacheType cache_type(const std::string &name) {
    if (name == "f16") return CacheType::F16;
    if (name == "q8") return CacheType::Q8;
    throw std::invalid_argument("cache_type is neither f16 nor q8");
}

TensorSpec read_tensor(nb::handle tensor) {
    return {
        attribute<std::filesystem::path>(tensor, "path"),
        attribute<int>(tensor, "type"),
        attribute<std::vector<int64_t>>(tensor, "shape"),
        attribute<uint64_t>(tensor, "offset"),
        attribute<uint64_t>(tensor, "nbytes"),
    };
}

ModelSpec read_spec(nb::handle spec) {
    ModelSpec made{};
    made.architecture = attribute<std::string>(spec, "architecture");
    made.vocab_size = attribute<int>(spec, "vocab_size");
    made.hidden_size = attribute<int>(spec, "hidden_size");
    made.layers = attribute<int>(spec, "layers");
    made.heads = attribute<int>(spec, "heads");
    made.kv_heads = attribute<int>(spec, "kv_heads");
    made.key_size = attribute<int>(spec, "key_size");
    made.value_size = attribute<int>(spec, "value_size");
    made.rotary_size = attribute<int>(spec, "rotary_size");
    made.rotary_layout = rotary_layout(attribute<std::string>(spec, "rotary_layout"));
    made.ffn_size = attribute<int>(spec, "ffn_size");
    made.norm_epsilon = attribute<float>(spec, "norm_epsilon");
    made.rope_theta = attribute<float>(spec, "rope_theta");
    made.cache_type = cache_type(attribute<std::string>(spec, "cache_type"));
    if (const nb::object latent = spec.attr("latent"); !latent.is_none()) {
        made.latent = {attribute<int>(latent, "query_rank"), attribute<int>(latent, "rank")};
    }
    if (const nb::object experts = spec.attr("experts"); !experts.is_none()) {
        made.experts = {attribute<int>(experts, "count"),        attribute<int>(experts, "used"),
                        attribute<int>(experts, "ffn_size"),     attribute<int>(experts, "shared_ffn_size"),
                        attribute<int>(experts, "dense_layers"), attribute<float>(experts, "scale")};
    }
    for (nb::handle item : spec.attr("tensors").attr("items")()) {
        made.tensors.emplace(checked_cast<std::string>(item[0], "a tensor's name"), read_tensor(item[1]));
    }
    return made;
}

std::unique_ptr<Model> make_model(std::shared_ptr<ThreadPool> pool, nb::handle spec, int context, int slots,
                                  const std::string &cpu, nb::object progress) {
    const ModelSpec read = read_spec(spec);
    const Kernels &kernels = kernels_by_name(cpu);
    Progress report;
    if (!progress.is_none()) {
        report = [&](uint64_t bytes) {
            const nb::gil_scoped_acquire held;
            return !progress(bytes).is(nb::handle(Py_False));
        };
    }
    const nb::gil_scoped_release released;
    return std::make_unique<Model>(std::move(pool), read, context, slots, kernels, report);
}

void check(nb::handle spec) {
    const ModelSpec read = read_spec(spec);
    const nb::gil_scoped_release released;
    check_spec(read);
}

// An array of Python's that owns the numbers.
template <class Array>
Array owned(std::unique_ptr<float[]> numbers, std::initializer_list<size_t> shape) {
    float *data = numbers.release();
    nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<float *>(p); });
    return Array(data, shape, owner);
}

using Rows = std::vector<std::tuple<int, int, int>>;
using Logits = nb::ndarray<nb::array_api, float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

Logits forward(Model &model, const Rows &rows, const std::vector<int> &wanted) {
    std::vector<Row> own;
    for (const auto &[slot, position, token] : rows) own.push_back({slot, position, token});
    if (wanted.size() > rows.size()) throw std::invalid_argument("more logits than rows");
    const size_t vocab = model.vocab_size();
    std::unique_ptr<float[]> logits(new float[wanted.size() * vocab]);
    {
        nb::gil_scoped_release released;
        model.forward(own, wanted, logits.get());
    }
    return owned<Logits>(std::move(logits), {wanted.size(), vocab});
}

nb::bytes read_cache(Model &model, int slot, int start, int count) {
    const size_t bytes = model.cache_bytes(count);
    // the bytes of a new object may be written until Python sees it
    nb::bytes copied = nb::steal<nb::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bytes)));
    if (!copied.is_valid()) throw nb::python_error();
    auto *const out = reinterpret_cast<uint8_t *>(PyBytes_AsString(copied.ptr()));
    const nb::gil_scoped_release released;
    model.read_cache(slot, start, count, out);
    return copied;
}

void write_cache(Model &model, int slot, int start, int count, const nb::bytes &data) {
    if (data.size() != model.cache_bytes(count)) throw std::invalid_argument("data is of another size");
    const auto *const in = static_cast<const uint8_t *>(data.data());
    const nb::gil_scoped_release released;
    model.write_cache(slot, start, count, in);
}

using Values = nb::ndarray<nb::array_api, float, nb::c_contig, nb::device::cpu>;
using Activation = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::unique_ptr<LoadedMatrix> make_matrix(std::shared_ptr<ThreadPool> pool, nb::handle tensor, const std::string &cpu) {
    const TensorSpec read = read_tensor(tensor);
    const Kernels &kernels = kernels_by_name(cpu);
    const nb::gil_scoped_release released;
    return std::make_unique<LoadedMatrix>(std::move(pool), read, kernels);
}

Values row(const LoadedMatrix &matrix, int index) {
    std::unique_ptr<float[]> values(new float[matrix.columns()]);
    matrix.row(index, values.get());
    return owned<Values>(std::move(values), {size_t(matrix.columns())});
}

Values multiply(LoadedMatrix &matrix, const Activation &x) {
    const size_t tokens = x.shape(0);
    if (x.shape(1) != size_t(matrix.columns()) || tokens > 1 << 20) {
        throw std::invalid_argument("x is not (tokens, columns), with at most 2^20 tokens");
    }
    std::unique_ptr<float[]> out(new float[tokens * matrix.rows()]);
    {
        nb::gil_scoped_release released;
        matrix.multiply(x.data(), static_cast<int>(tokens), out.get());
    }
    return owned<Values>(std::move(out), {tokens, size_t(matrix.rows())});
}

std::pair<double, double> measure(ThreadPool &pool, int type, double seconds, const std::string &cpu) {
    Compute compute{pool, kernels_by_name(cpu)};
    const Speed speed = measure_speed(compute, static_cast<Type>(type), seconds);
    return {speed.bytes, speed.products};
}

}  // namespace

NB_MODULE(chatglm_native, m) {
    m.doc() = "The compute core: ChatGLM and GLM models on a CPU.";
    m.def(
        "kernels",
        [] {
            std::vector<std::string> names;
            for (const Kernels *kernels : available_kernels()) names.emplace_back(kernels->name);
            return names;
        },
        "Names of the kernels that this processor can run, the fastest first.");
    m.def("check", &check, nb::arg("spec"),
          "Raises ValueError if the core cannot run a spec, and says why; RuntimeError if its files cannot be read.");
    nb::exception<LoadingStopped>(m, "LoadingStopped");
    nb::class_<ThreadPool>(m, "ThreadPool", "Threads that compute for one caller at a time, the caller's among them.")
        .def(nb::new_(&make_pool), nb::arg("threads"))
        .def_prop_ro("threads", &ThreadPool::threads)
        .def("resize", &resize_pool, nb::arg("threads"), nb::call_guard<nb::gil_scoped_release>(),
             "Go on with so many threads, while nothing else uses the pool.");
    m.def("measure_speed", &measure, nb::arg("pool"), nb::arg("type"), nb::arg("seconds"), nb::arg("cpu") = "auto",
          nb::call_guard<nb::gil_scoped_release>(),
          "Bytes of weights that a token's pass reads in a second, and products that a prompt's pass computes.");
    nb::class_<Model>(m, "Model", "A network with its weights, and the keys and values of a number of slots.")
        .def(nb::new_(&make_model), nb::arg("pool"), nb::arg("spec"), nb::kw_only(), nb::arg("context"),
             nb::arg("slots"), nb::arg("cpu") = "auto", nb::arg("progress") = nb::none(),
             "Reads the weights. `progress` gets the bytes read so far, in this thread; False raises LoadingStopped.")
        .def("forward", &forward, nb::arg("rows"), nb::arg("wanted"),
             "Reads (slot, position, token) rows in one pass; returns the logits after the wanted ones.")
        .def("copy", &Model::copy, nb::arg("source"), nb::arg("target"), nb::arg("count"),
             nb::call_guard<nb::gil_scoped_release>(),
             "Makes the first positions of the target those of the source; what else the target held is lost.")
        .def("truncate", &Model::truncate, nb::arg("slot"), nb::arg("kept"), nb::call_guard<nb::gil_scoped_release>(),
             "Gives back the memory of a slot's positions but the first.")
        .def("cache_bytes", &Model::cache_bytes, nb::arg("count"), "Bytes of so many positions, for the next two.")
        .def("read_cache", &read_cache, nb::arg("slot"), nb::arg("start"), nb::arg("count"),
             "The keys and values of positions of a slot, in the order of its memory.")
        .def("write_cache", &write_cache, nb::arg("slot"), nb::arg("start"), nb::arg("count"), nb::arg("data"),
             "Puts what `read_cache` returned into a slot; positions behind it are undefined afterwards.")
        .def_prop_ro("kernels", [](const Model &model) { return model.kernels().name; });
    nb::class_<LoadedMatrix>(m, "Matrix", "A matrix of weights alone: what it holds, and its products.")
        .def(nb::new_(&make_matrix), nb::arg("pool"), nb::arg("tensor"), nb::kw_only(), nb::arg("cpu") = "auto")
        .def("row", &row, nb::arg("index"), "The values of a row.")
        .def("multiply", &multiply, nb::arg("x").noconvert(), "x times the transposed matrix.");
    bind_sampling(m);
}
