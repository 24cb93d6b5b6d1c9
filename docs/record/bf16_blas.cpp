// Preloaded while the checkpoints that ship were trained, from the second encoder on: runs Paddle 3.3's float32 matrix
// products in oneDNN, with factors rounded to bf16 and sums in float32. The MKL that Paddle bundles (2019) does not use
// AMX; on a core that has it, products are 2 to 3 times as fast, fine-tuning 1.6 times. A record, not a part of the
// builders.
//
//   LIBS=$(python -c 'import paddle, os; print(os.path.dirname(paddle.__file__) + "/libs")')
//   g++ -O2 -shared -fPIC docs/record/bf16_blas.cpp -o bf16_blas.so -I HEADERS -L$LIBS -l:libdnnl.so.3 -ldl
//   export LD_LIBRARY_PATH=$LIBS OMP_NUM_THREADS=1
//   LD_PRELOAD=$PWD/bf16_blas.so ernie-triton build --preset shipped --data-dir DATA --until finetune
//   ernie-triton build --preset shipped --data-dir DATA --until evaluate # without it: exports are held against Paddle
//
// HEADERS: of oneDNN 3 (dnnl.h); torch has them in torch/include.
#include <dlfcn.h>
#include <dnnl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <tuple>

namespace {

using Sgemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
using Shape = std::tuple<int, int, int, int, int, int, int, int, bool>;
constexpr int kRowMajor = 101, kTransposed = 112;
constexpr int kSmallest = 32;           // rows, columns and sums: below, conversion costs more than it gives
constexpr double kFewest = 5e6;         // multiplications
constexpr std::size_t kPrimitives = 4000;  // lengths differ, and so do shapes

struct Product {
  dnnl_primitive_t primitive;
  dnnl_memory_t a, b, c;
};

Sgemm mkl = nullptr;
dnnl_engine_t engine = nullptr;
dnnl_stream_t stream = nullptr;

void check(dnnl_status_t status, const char* what) {
  if (status == dnnl_success) return;
  std::fprintf(stderr, "bf16_blas: %s: oneDNN status %d\n", what, status);
  std::abort();
}

dnnl_memory_desc_t matrix(int rows, int columns, bool transposed, int stride) {
  const dnnl_dims_t sizes = {rows, columns};
  const dnnl_dims_t strides = {transposed ? 1 : stride, transposed ? stride : 1};
  dnnl_memory_desc_t result;
  check(dnnl_memory_desc_create_with_strides(&result, 2, sizes, dnnl_f32, strides), "matrix");
  return result;
}

void drop(std::map<Shape, Product>& products) {
  for (auto& [shape, product] : products) {
    dnnl_primitive_destroy(product.primitive);
    for (auto memory : {product.a, product.b, product.c}) dnnl_memory_destroy(memory);
  }
  products.clear();
}

Product& product_for(int ta, int tb, int m, int n, int k, int lda, int ldb, int ldc, bool add) {
  static std::map<Shape, Product> products;
  const Shape shape(ta, tb, m, n, k, lda, ldb, ldc, add);
  if (auto found = products.find(shape); found != products.end()) return found->second;
  if (!engine) {
    check(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
  }
  if (products.size() > kPrimitives) drop(products);
  auto a = matrix(m, k, ta == kTransposed, lda), b = matrix(k, n, tb == kTransposed, ldb), c = matrix(m, n, false, ldc);
  dnnl_primitive_attr_t how;
  check(dnnl_primitive_attr_create(&how), "attributes");
  check(dnnl_primitive_attr_set_fpmath_mode(how, dnnl_fpmath_mode_bf16), "bf16");
  if (add) {
    dnnl_post_ops_t after;
    check(dnnl_post_ops_create(&after), "sum");
    check(dnnl_post_ops_append_sum(after, 1.f, 0, dnnl_f32), "sum");
    check(dnnl_primitive_attr_set_post_ops(how, after), "sum");
    dnnl_post_ops_destroy(after);
  }
  dnnl_primitive_desc_t plan;
  check(dnnl_matmul_primitive_desc_create(&plan, engine, a, b, nullptr, c, how), "product");
  Product made;
  check(dnnl_primitive_create(&made.primitive, plan), "product");
  check(dnnl_memory_create(&made.a, a, engine, nullptr), "memory");
  check(dnnl_memory_create(&made.b, b, engine, nullptr), "memory");
  check(dnnl_memory_create(&made.c, c, engine, nullptr), "memory");
  dnnl_primitive_desc_destroy(plan);
  dnnl_primitive_attr_destroy(how);
  for (auto description : {a, b, c}) dnnl_memory_desc_destroy(description);
  return products[shape] = made;
}

void sgemm(int layout, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda, const float* b,
           int ldb, float beta, float* c, int ldc) {
  const bool small = m < kSmallest || n < kSmallest || k < kSmallest || double(m) * n * k < kFewest;
  if (small || layout != kRowMajor || alpha != 1.f || (beta != 0.f && beta != 1.f))
    return mkl(layout, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  auto& product = product_for(ta, tb, m, n, k, lda, ldb, ldc, beta == 1.f);
  dnnl_memory_set_data_handle(product.a, const_cast<float*>(a));
  dnnl_memory_set_data_handle(product.b, const_cast<float*>(b));
  dnnl_memory_set_data_handle(product.c, c);
  const dnnl_exec_arg_t given[] = {{DNNL_ARG_SRC, product.a}, {DNNL_ARG_WEIGHTS, product.b}, {DNNL_ARG_DST, product.c}};
  check(dnnl_primitive_execute(product.primitive, stream, 3, given), "execute");
  dnnl_stream_wait(stream);
}

}  // namespace

// Paddle opens its MKL itself and asks it for each function by name.
extern "C" void* dlsym(void* library, const char* name) {
  using Find = void* (*)(void*, const char*);
  static const auto real = reinterpret_cast<Find>(dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5"));
  if (!std::strcmp(name, "ompt_start_tool")) return nullptr;  // RTLD_NEXT would mean: after this library, for ever
  void* found = real(library, name);
  if (!found || library == RTLD_NEXT || std::strcmp(name, "cblas_sgemm")) return found;
  mkl = reinterpret_cast<Sgemm>(found);
  return reinterpret_cast<void*>(sgemm);
}
