// Letterbox and crop as a kernel: a thread draws one pixel of the model's input, to the last bit as src/pixels does (blend, mix_pairs,
// yuv_to_rgb, scale_row of kernels.rs). scripts/make-ptx.sh makes letterbox.ptx of it by clang alone; tests compile the same text for
// the processor. Nothing outside the planes' parts is read: the last column and row are their own neighbours.

#ifdef __CUDA__
#define KERNEL extern "C" __attribute__((global))
#define DEVICE static __attribute__((device, always_inline))
#define THREAD_X (__nvvm_read_ptx_sreg_ctaid_x() * __nvvm_read_ptx_sreg_ntid_x() + __nvvm_read_ptx_sreg_tid_x())
#define THREAD_Y (__nvvm_read_ptx_sreg_ctaid_y() * __nvvm_read_ptx_sreg_ntid_y() + __nvvm_read_ptx_sreg_tid_y())
// On the processor this also checks that the byte lies within the plane's part.
#define LOAD(job, plane, grid, every, byte) (*(byte))
#endif

// A pixel's left neighbour, and the weights of it and of the next one in Q15.
struct Column {
  unsigned left;
  short weight_left, weight_right;
};

// A row's upper neighbour, and the weight of the next one in Q15.
struct Row {
  unsigned top;
  int weight;
};

// `struct Job` of mod.rs, field by field. Index 0 is the full grid, 1 the half one (chroma's).
struct Job {
  const unsigned char *planes[3];
  const Column *columns[2];
  const Row *rows[2];
  float *out;
  unsigned strides[3];
  unsigned last_column[2], last_row[2];
  unsigned width, height;
  unsigned inner[4];
  int black, luma, red_v, green_u, green_v, blue_u;
  float scale[3], offset[3], pad[3];
  unsigned is_bgr;
};
static_assert(sizeof(Job) == 184, "as mod.rs has it");

struct Rgb {
  int r, g, b;
};

// Samples are 8.6 fixed point; all products fit 32 bits and all results 16, so that no step differs from the 16-bit registers.
DEVICE int mul_high(int a, int b) { return (a * b) >> 16; }
DEVICE int blend(int top, int bottom, int weight) { return (top << 6) + mul_high((bottom - top) << 7, weight); }

DEVICE int to_byte(int sample) {
  int byte = (sample + 32) >> 6;
  return byte < 0 ? 0 : byte > 255 ? 255 : byte;
}

// The sample of output pixel (x, y) of the inner rectangle: `Every` bytes from one column to the next, beginning with byte `first`.
template <int Every>
DEVICE int sample(const Job &job, int plane, int grid, unsigned first, unsigned x, unsigned y) {
  const Column column = job.columns[grid][x];
  const Row row = job.rows[grid][y];
  const unsigned right = column.left < job.last_column[grid] ? column.left + 1 : column.left;
  const unsigned bottom = row.top < job.last_row[grid] ? row.top + 1 : row.top;
  const unsigned char *upper = job.planes[plane] + (unsigned long long)row.top * job.strides[plane] + first;
  const unsigned char *lower = job.planes[plane] + (unsigned long long)bottom * job.strides[plane] + first;
  const int before = blend(LOAD(job, plane, grid, Every, upper + column.left * Every),
                           LOAD(job, plane, grid, Every, lower + column.left * Every), row.weight);
  const int after = blend(LOAD(job, plane, grid, Every, upper + right * Every),
                          LOAD(job, plane, grid, Every, lower + right * Every), row.weight);
  return (before * column.weight_left + after * column.weight_right + (1 << 14)) >> 15;
}

DEVICE Rgb yuv_to_rgb(const Job &job, int y, int u, int v) {
  y -= job.black;
  u -= 128 << 6;
  v -= 128 << 6;
  const int luma = y + mul_high(y * 2, job.luma);
  Rgb rgb;
  rgb.r = to_byte(luma + v + mul_high(v * 4, job.red_v));
  rgb.g = to_byte(luma - mul_high(u * 4, job.green_u) - mul_high(v * 4, job.green_v));
  rgb.b = to_byte(luma + u + mul_high(u * 4, job.blue_u));
  return rgb;
}

struct Nv12 {
  DEVICE Rgb at(const Job &job, unsigned x, unsigned y) {
    return yuv_to_rgb(job, sample<1>(job, 0, 0, 0, x, y), sample<2>(job, 1, 1, 0, x, y), sample<2>(job, 1, 1, 1, x, y));
  }
};

struct I420 {
  DEVICE Rgb at(const Job &job, unsigned x, unsigned y) {
    return yuv_to_rgb(job, sample<1>(job, 0, 0, 0, x, y), sample<1>(job, 1, 1, 0, x, y), sample<1>(job, 2, 1, 0, x, y));
  }
};

struct Packed {
  DEVICE Rgb at(const Job &job, unsigned x, unsigned y) {
    Rgb rgb;
    rgb.r = to_byte(sample<3>(job, 0, 0, 0, x, y));
    rgb.g = to_byte(sample<3>(job, 0, 0, 1, x, y));
    rgb.b = to_byte(sample<3>(job, 0, 0, 2, x, y));
    return rgb;
  }
};

template <typename Format>
DEVICE void draw(const Job &job) {
  const unsigned x = THREAD_X, y = THREAD_Y;
  if (x >= job.width || y >= job.height) return;
  const unsigned long long area = (unsigned long long)job.width * job.height;
  float *out = job.out + (unsigned long long)y * job.width + x;
  // Unsigned: what lies before the rectangle wraps around and is beyond it too.
  const unsigned inner_x = x - job.inner[0], inner_y = y - job.inner[1];
  if (inner_x >= job.inner[2] || inner_y >= job.inner[3]) {
    for (int c = 0; c < 3; c++) out[c * area] = job.pad[c];
    return;
  }
  const Rgb rgb = Format::at(job, inner_x, inner_y);
  const int bytes[3] = {job.is_bgr ? rgb.b : rgb.r, rgb.g, job.is_bgr ? rgb.r : rgb.b};
  // Product and sum are rounded one after the other: compiled with -ffp-contract=off.
  for (int c = 0; c < 3; c++) out[c * area] = (float)bytes[c] * job.scale[c] + job.offset[c];
}

KERNEL void letterbox_nv12(Job job) { draw<Nv12>(job); }
KERNEL void letterbox_i420(Job job) { draw<I420>(job); }
KERNEL void letterbox_rgb(Job job) { draw<Packed>(job); }
