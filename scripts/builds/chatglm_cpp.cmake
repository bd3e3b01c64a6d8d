# chatglm-cpp for the tests: the module and what it links to, without sentencepiece's programs and debug information.
# ggml, which computes, is in C, and is built as always.
set(CMAKE_CXX_FLAGS_RELEASE "-O1 -DNDEBUG -g0")
cmake_language(DEFER CALL set_property DIRECTORY third_party/sentencepiece PROPERTY EXCLUDE_FROM_ALL ON)
cmake_language(DEFER CALL set_property DIRECTORY third_party/abseil-cpp PROPERTY EXCLUDE_FROM_ALL ON)
cmake_language(DEFER CALL set_property DIRECTORY third_party/re2 PROPERTY EXCLUDE_FROM_ALL ON)
if(CMAKE_SYSTEM_NAME STREQUAL Linux)
    set(affinity "${CMAKE_CURRENT_LIST_DIR}/affinity.cpp")
    cmake_language(DEFER CALL target_sources _C PRIVATE "${affinity}")
endif()
