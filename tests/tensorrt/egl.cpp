// The stand-in driver with EGLImages: pictures that a test makes, which are registered and read like those of a decoder. Planes lie row
// after row ("pitch") or are arrays, of which nothing but a copy of a rectangle can be had.
//
// Pictures are made by standin_image() and go by standin_free_image(); "registered" counts registrations, "arrays_copied" copies.

#include "driver.cpp"

namespace {

enum { ARRAYS = 0, PITCH = 1 };

struct Image {
  unsigned kind, width, height, pitch, color;
  std::vector<char> planes[2];
  size_t rows(int plane) const { return plane == 0 ? height : (height + 1) / 2; }
  size_t row_bytes(int plane) const { return plane == 0 ? width : (width + 1) / 2 * 2; }
};

struct Array {
  Image *image;
  int plane;
};

// cudaEGL.h's CUeglFrame.
struct Frame {
  void *planes[3];
  unsigned width, height, depth, pitch, count, channels, kind, color, element;
};
static_assert(sizeof(Frame) == 64, "as cudaEGL.h has it");

// cuda.h's CUDA_MEMCPY2D.
struct Copy2d {
  size_t from_x, from_y;
  unsigned from_kind;
  const void *from_host;
  uint64_t from_device;
  Array *from_array;
  size_t from_pitch, to_x, to_y;
  unsigned to_kind;
  void *to_host;
  uint64_t to_device;
  void *to_array;
  size_t to_pitch, width, height;
};
static_assert(sizeof(Copy2d) == 128, "as cuda.h has it");

std::map<void *, Image *> &images = *new std::map<void *, Image *>;
struct Resource {
  Image *image;
  Array arrays[2];
};
std::map<void *, Resource> &resources = *new std::map<void *, Resource>;

}  // namespace

API void *standin_image(unsigned kind, unsigned width, unsigned height, unsigned pitch, unsigned color) {
  Guard guard(lock);
  Image *image = new Image{kind, width, height, pitch, color, {}};
  for (int plane = 0; plane < 2; plane++) image->planes[plane].resize(pitch * image->rows(plane));
  images[image] = image;
  return image;
}
API char *standin_plane(void *image, int plane) { return images.at(image)->planes[plane].data(); }
API void standin_free_image(void *image) {
  Guard guard(lock);
  for (auto &r : resources)
    if (r.second.image == image && objects.count(r.first)) violation("an image goes that is registered", 0);
  delete images.at(image);
  images.erase(image);
}

API int cuGraphicsEGLRegisterImage(void **resource, void *image, unsigned flags) {
  Guard guard(lock);
  if (int code = begin()) return code;
  if (recording) return violation("an image is registered while this thread records", NOT_PERMITTED);
  if (!images.count(image) || flags != 1) return INVALID_HANDLE;
  Image *known = images[image];
  *resource = add('r');
  resources[*resource] = {known, {{known, 0}, {known, 1}}};
  counts["registered"]++;
  for (auto &plane : known->planes) {
    if (known->kind != PITCH) break;
    // The kernel may read it from now on. The mapping is only there to be given back.
    Object object;
    object.kind = 'd';
    object.device = current;
    object.bytes = plane.size();
    object.mapped = sysconf(_SC_PAGESIZE);
    object.mapping = static_cast<char *>(mmap(nullptr, object.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    objects[plane.data()] = object;
  }
  return 0;
}
API int cuGraphicsResourceGetMappedEglFrame(Frame *frame, void *resource, unsigned index, unsigned level) {
  Guard guard(lock);
  if (int code = begin()) return code;
  if (!find(resource, 'r') || index || level) return INVALID_HANDLE;
  Resource &r = resources[resource];
  *frame = {{}, r.image->width, r.image->height, 1, r.image->kind == PITCH ? r.image->pitch : 0, 2, 1, r.image->kind, r.image->color, 1};
  for (int plane = 0; plane < 2; plane++)
    frame->planes[plane] = r.image->kind == PITCH ? static_cast<void *>(r.image->planes[plane].data()) : &r.arrays[plane];
  return 0;
}
API int cuGraphicsUnregisterResource(void *resource) {
  Guard guard(lock);
  if (int code = begin()) return code;
  if (!find(resource, 'r')) return INVALID_HANDLE;
  Image *image = resources[resource].image;
  if (image->kind == PITCH)
    for (auto &plane : image->planes)
      if (int code = release(plane.data(), 'd')) return code;
  resources.erase(resource);
  return destroy(resource, 'r');
}
API int cuMemcpy2DAsync_v2(const Copy2d *given, void *stream) {
  Guard guard(lock);
  if (int code = begin()) return code;
  const Copy2d c = *given;
  if (c.from_kind != 3 || c.to_kind != 2 || c.to_x || c.to_y || c.to_pitch < c.width || c.to_pitch % 512)
    return violation("a copy of a rectangle that is none", INVALID_VALUE);
  return enqueue(stream, [=] {
    counts["arrays_copied"]++;
    const Image &image = *c.from_array->image;
    const int plane = c.from_array->plane;
    if (c.from_x + c.width > image.row_bytes(plane) || c.from_y + c.height > image.rows(plane) || (plane && c.from_x % 2))
      return violation("a copy from beyond an array", INVALID_VALUE);
    if (!covers(c.to_device, c.to_pitch * (c.height - 1) + c.width, 'd')) return violation("a copy beyond the GPU's memory", INVALID_VALUE);
    for (size_t y = 0; y < c.height; y++)
      memcpy(reinterpret_cast<char *>(c.to_device) + y * c.to_pitch, &image.planes[plane][(c.from_y + y) * image.pitch + c.from_x], c.width);
    return 0;
  });
}
