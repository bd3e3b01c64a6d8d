# llama-cpp-python for the tests, which need its library and no programs: about half of the time that its build takes.
# ggml, which computes, is built as always.
set(LLAMA_BUILD_COMMON OFF)
set(LLAVA_BUILD OFF)
cmake_language(DEFER CALL target_compile_options llama PRIVATE -O1)
