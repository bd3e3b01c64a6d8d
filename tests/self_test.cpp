// A test of the core that needs no Python: for systems that it is compiled for on another one. See scripts/test-native.
//
// Checks each family of kernels that this processor runs, and prints a few of its numbers, so that two systems can be
// compared. tests/decoding has the tests against other implementations.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "loaded_matrix.h"
#include "model.h"
#include "sampler.h"

using namespace chatglm;

namespace {

int failures = 0;

void check(bool right, const std::string &what) {
    if (right) return;
    ++failures;
    std::printf("wrong: %s\n", what.c_str());
}

template <class Exception, class Function>
bool throws(const Function &function) {
    try {
        function();
    } catch (const Exception &) {
        return true;
    }
    return false;
}

// The largest difference, as a part of the largest value of `b`.
double difference(const std::vector<float> &a, const std::vector<float> &b) {
    double largest = 0, most = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        largest = std::max<double>(largest, std::fabs(b[i]));
        most = std::max<double>(most, std::fabs(a[i] - b[i]));
    }
    return most / largest;
}

// A file of weights, which is deleted at the end. Its name is not ASCII: names are another matter on each system.
class WeightFile {
  public:
    explicit WeightFile(const std::string &name)
        : path_(std::filesystem::temp_directory_path() / std::filesystem::u8path("chatglm-权重-" + name)) {
        std::filesystem::remove(path_);
    }
    ~WeightFile() { std::filesystem::remove(path_); }

    const std::filesystem::path &path() const { return path_; }

    // Adds a tensor of float32 numbers around `center`, as far away as `spread`.
    TensorSpec add(const std::vector<int64_t> &shape, float center, float spread) {
        size_t count = 1;
        for (const int64_t size : shape) count *= static_cast<size_t>(size);
        std::vector<float> values(count);
        // not a distribution of the library, whose numbers are each library's own
        for (float &value : values) value = center + spread * (static_cast<int>(random_() >> 16) - 32768) / 32768;
        std::ofstream file(path_, std::ios::binary | std::ios::app);
        file.write(reinterpret_cast<const char *>(values.data()), static_cast<std::streamsize>(4 * count));
        const uint64_t offset = bytes_;
        bytes_ += 4 * count;
        return {path_, static_cast<int>(Type::F32), shape, offset, 4 * count};
    }

  private:
    std::filesystem::path path_;
    uint64_t bytes_ = 0;
    std::mt19937 random_{7};
};

void test_threads() {
    ThreadPool pool(4);
    std::atomic<int64_t> sum{0};
    pool.run(10000, 7, [&](int begin, int end, int) {
        for (int i = begin; i < end; ++i) sum += i;
    });
    check(sum == int64_t(10000) * 9999 / 2, "the pool's threads do every piece once");
    const auto fail = [](int, int, int) { throw std::runtime_error("a task's"); };
    check(throws<std::runtime_error>([&] { pool.run(100, 1, fail); }), "a task's exception reaches the caller");
}

void test_memory() {
    constexpr size_t size = size_t(8) << 20;
    Memory memory(size, Pages::Small);
    check(std::all_of(memory.data(), memory.data() + size, [](uint8_t byte) { return byte == 0; }), "memory is zero");
    std::memset(memory.data(), 1, size);
    memory.forget(size / 2, size);
    check(memory.data()[size / 2 - 1] == 1, "what is not forgotten is kept");
    std::memset(memory.data() + size / 2, 2, size / 2);
    check(memory.data()[size - 1] == 2, "forgotten memory can be written again");
    check(throws<std::bad_alloc>([] { Memory(size_t(1) << 60, Pages::Huge); }), "too much memory is refused");
}

void test_file() {
    WeightFile weights("file");
    weights.add({1000}, 0, 1);
    const File file(weights.path());
    check(file.bytes() == 4000, "a file's size");
    std::vector<uint8_t> whole(4000), part(100), more(8);
    file.read(0, whole.size(), whole.data());
    file.read(1234, part.size(), part.data());
    check(std::memcmp(&whole[1234], part.data(), part.size()) == 0, "a part of a file is that of the whole");
    check(throws<std::runtime_error>([&] { file.read(3996, 8, more.data()); }), "nothing is read behind a file's end");
    const std::filesystem::path folder = std::filesystem::temp_directory_path();
    check(throws<std::runtime_error>([&] { File missing(folder / "chatglm-test-none"); }),
          "a missing file is an error");
    check(throws<std::runtime_error>([&] { File no_file(folder); }), "a folder is no file");
}

void test_matrix(const Kernels &kernels) {
    constexpr int rows = 48, columns = 96, tokens = 5;
    WeightFile weights("matrix");
    LoadedMatrix matrix(std::make_shared<ThreadPool>(2), weights.add({rows, columns}, 0, 1), kernels);
    std::vector<float> x(tokens * columns), row(columns), one(rows), all(tokens * rows), exact(tokens * rows);
    for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
    for (int r = 0; r < rows; ++r) {
        matrix.row(r, row.data());
        for (int t = 0; t < tokens; ++t) {
            double sum = 0;
            for (int c = 0; c < columns; ++c) sum += double(row[c]) * x[t * columns + c];
            exact[t * rows + r] = static_cast<float>(sum);
        }
    }
    matrix.multiply(x.data(), tokens, all.data());
    check(difference(all, exact) < 0.02, std::string("a product, by ") + kernels.name);
    matrix.multiply(&x[(tokens - 1) * columns], 1, one.data());
    check(std::memcmp(one.data(), &all[(tokens - 1) * rows], 4 * rows) == 0,
          std::string("a product of one token and of several, by ") + kernels.name);
}

ModelSpec small_model(WeightFile &weights) {
    constexpr int64_t vocab = 64, hidden = 64, heads = 4, kv_heads = 2, head = 16, ffn = 96;
    ModelSpec spec{};
    spec.architecture = "chatglm";
    spec.vocab_size = vocab, spec.hidden_size = hidden, spec.layers = 2, spec.heads = heads, spec.kv_heads = kv_heads;
    spec.key_size = spec.value_size = head, spec.rotary_size = 8, spec.ffn_size = ffn;
    spec.rotary_layout = RotaryLayout::Interleaved;
    spec.norm_epsilon = 1e-5f, spec.rope_theta = 10000;
    spec.cache_type = CacheType::F16;
    const auto matrix = [&](const std::string &name, int64_t rows, int64_t columns) {
        spec.tensors.emplace(name + ".weight", weights.add({rows, columns}, 0, 0.25f));
    };
    const auto norm = [&](const std::string &name) {
        spec.tensors.emplace(name + ".weight", weights.add({hidden}, 1, 0.25f));
    };
    matrix("token_embd", vocab, hidden);
    matrix("output", vocab, hidden);
    norm("output_norm");
    for (int i = 0; i < spec.layers; ++i) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        norm(layer + "attn_norm");
        norm(layer + "ffn_norm");
        matrix(layer + "attn_q", heads * head, hidden);
        matrix(layer + "attn_k", kv_heads * head, hidden);
        matrix(layer + "attn_v", kv_heads * head, hidden);
        matrix(layer + "attn_output", hidden, heads * head);
        matrix(layer + "ffn_up", 2 * ffn, hidden);
        matrix(layer + "ffn_down", hidden, ffn);
    }
    return spec;
}

// Returns the logits after the last token.
std::vector<float> test_model(const ModelSpec &spec, const Kernels &kernels) {
    constexpr int tokens = 40;
    const std::string by = std::string(", by ") + kernels.name;
    const Progress none;
    Model model(std::make_shared<ThreadPool>(3), spec, 64, 3, kernels, none);
    std::vector<float> whole(spec.vocab_size), alone(spec.vocab_size), after(spec.vocab_size);
    std::vector<Row> rows;
    for (int i = 0; i < tokens; ++i) rows.push_back({0, i, i * 7 % spec.vocab_size});
    model.forward(rows, {tokens - 1}, whole.data());
    for (int i = 0; i < tokens; ++i) model.forward({{1, i, i * 7 % spec.vocab_size}}, {0}, alone.data());
    const size_t bytes = 4 * whole.size();
    check(std::memcmp(whole.data(), alone.data(), bytes) == 0, "a prompt's logits in one pass and in many" + by);

    std::vector<uint8_t> copied(model.cache_bytes(32));
    model.read_cache(0, 0, 32, copied.data());
    model.write_cache(2, 0, 32, copied.data());
    model.truncate(1, 0);
    for (int i = 32; i < tokens; ++i) model.forward({{2, i, i * 7 % spec.vocab_size}}, {0}, after.data());
    check(std::memcmp(whole.data(), after.data(), bytes) == 0, "logits after a prefix that was read and written" + by);

    SamplingParams params;
    params.temperature = 0;
    Sampler greedy(params, {});
    const int token = greedy.sample(whole.data(), spec.vocab_size, {}, {})[0].token;
    check(token == std::max_element(whole.begin(), whole.end()) - whole.begin(), "the likeliest token" + by);
    return whole;
}

void test_kernels() {
    WeightFile weights("model");
    const ModelSpec spec = small_model(weights);
    const std::vector<float> plain = test_model(spec, kGeneric);
    for (const Kernels *kernels : available_kernels()) {
        test_matrix(*kernels);
        const std::vector<float> logits = test_model(spec, *kernels);
        check(difference(logits, plain) < 0.02, std::string("the logits of plain C++ and of ") + kernels->name);
        std::printf("%-12s", kernels->name);
        for (int i = 0; i < 6; ++i) std::printf(" %9.4f", static_cast<double>(logits[i]));
        std::printf("\n");
    }
}

}  // namespace

int main() {
    test_threads();
    test_memory();
    test_file();
    test_kernels();
    std::printf(failures == 0 ? "all right\n" : "%d wrong\n", failures);
    return failures == 0 ? 0 : 1;
}
