# Compiles the kernels for AVX-512 and AVX-VNNI for a processor that has only AVX2, over immintrin.h beside this file:
# scripts/test-native gives it to CMake as CMAKE_PROJECT_INCLUDE. At the end of CMakeLists.txt it takes the place of the
# options set there.
cmake_policy(VERSION 3.19)

function(emulate)
  file(GLOB kernels ${native}/kernels/avx512*.cpp ${native}/kernels/avxvnni*.cpp)
  # -Wno-psabi: GCC notes that it passes vectors of 64 bytes in memory.
  set_source_files_properties(${kernels} PROPERTIES
    COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;-isystem;${CMAKE_CURRENT_FUNCTION_LIST_DIR};-isystem;${CHATGLM_SIMDE};-Wno-psabi")
  # The processor says that it has everything.
  set_source_files_properties(${native}/kernels/available.cpp PROPERTIES
    COMPILE_OPTIONS "-D__builtin_cpu_supports(feature)=true")
endfunction()

cmake_language(DEFER CALL emulate)
