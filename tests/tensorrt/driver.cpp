// A libcuda.so.1 for tests, where no GPU is. Memory of "the GPU" is the processor's, streams run at once, recordings are closures; the
// kernel is letterbox.cu itself, compiled for the processor. It checks what a real driver punishes with a crash or not at all: ranges of
// copies, handles that are gone, contexts that are not current, calls after a fault, what is left at the end.
//
//   c++ -std=c++17 -O2 -ffp-contract=off -shared -fPIC -I src/infer/tensorrt/letterbox -o libcuda.so.1 tests/tensorrt/driver.cpp
//   -DCUDA_10_2 leaves out what that version had not.
//
// Settings are numbers by name: PEREGRINE_STANDIN_CUDA="devices=2,compute=53", lines of the file PEREGRINE_STANDIN_CUDA_FILE (read again
// at each launch), or standin_set(). They are listed beside their defaults below. standin_get() also gives counts: "calls", "launches",
// "copies", "graph_launches", "calls_after_fault", "objects" (alive now), "violations".

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

static thread_local unsigned thread_x, thread_y;
static unsigned char load(const void *job, int plane, int grid, int every, const unsigned char *byte);
#define KERNEL extern "C"
#define DEVICE static inline
#define THREAD_X thread_x
#define THREAD_Y thread_y
#define LOAD(job, plane, grid, every, byte) load(&(job), plane, grid, every, byte)
#include "letterbox.cu"

#define API extern "C" __attribute__((visibility("default")))

namespace {

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
  INVALID_PTX = 218, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, NOT_PERMITTED = 900 };

using Work = std::function<int()>;

struct Object {
  char kind = 0;  // 'd' memory of the GPU, 'h' pinned, 's' stream, 'e' event, 'm' module, 't' recording, 'g' graph
  int device = -1;
  size_t bytes = 0;
  char *mapping = nullptr;
  size_t mapped = 0;
  bool capturing = false;
  bool recorded = false;
  bool hangs = false;  // a stream with work that never ends
  std::vector<Work> work;
};

struct Context {
  int retained = 0;
  long generation = 1;
  int fault = 0;
};

// Never destroyed: what is left is counted after everything else has ended.
std::recursive_mutex &lock = *new std::recursive_mutex;
std::map<void *, Object> &objects = *new std::map<void *, Object>;
std::map<int, Context> &contexts = *new std::map<int, Context>;
std::map<std::string, long long> &settings = *new std::map<std::string, long long>{
    {"init", 0},            // what cuInit answers
    {"version", 12060},     // cuDriverGetVersion
    {"devices", 1},
    {"compute", 87},        // 8.7
    {"integrated", 0},
    {"memory", 8LL << 30},  // bytes in all; more is out of memory
    {"fault_launch", 0},    // from this launch of a kernel on (1 is the first) the context is broken; 0: never
    {"fault_code", ILLEGAL_ADDRESS},
    {"fault_device", -1},   // the GPU that it befalls; -1: whichever
    {"reset", 0},           // what cuDevicePrimaryCtxReset answers
    {"hang", 0},            // no event is ever reached
    {"lenient", 0},         // what is left at the end is told, and no reason to abort
};
std::map<std::string, long long> &counts = *new std::map<std::string, long long>;
bool initialised = false;
char function_names[3][16] = {"nv12", "i420", "rgb"};
thread_local int current = -1;
thread_local long current_generation = 0;
thread_local void *recording = nullptr;

using Guard = std::lock_guard<std::recursive_mutex>;

int violation(const char *what, int code) {
  counts["violations"]++;
  fprintf(stderr, "stand-in libcuda: %s\n", what);
  return code;
}

void read_settings(std::string text) {
  for (char &c : text)
    if (c == ',') c = '\n';
  size_t at = 0;
  while (at < text.size()) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    const std::string line = text.substr(at, end - at);
    const size_t equals = line.find('=');
    if (equals != std::string::npos) settings[line.substr(0, equals)] = atoll(line.c_str() + equals + 1);
    at = end + 1;
  }
}

void read_settings_file() {
  if (const char *path = getenv("PEREGRINE_STANDIN_CUDA_FILE")) {
    std::ifstream file(path);
    read_settings(std::string(std::istreambuf_iterator<char>(file), {}));
  }
}

// What every call on a context begins with; 0 when it may go on.
int begin() {
  counts["calls"]++;
  if (!initialised) return violation("a call before cuInit", NOT_INITIALIZED);
  if (current < 0) return violation("no context is current", INVALID_CONTEXT);
  Context &context = contexts[current];
  if (context.retained == 0 || context.generation != current_generation) return violation("the current context is gone", INVALID_CONTEXT);
  if (context.fault) {
    counts["calls_after_fault"]++;
    return context.fault;
  }
  return 0;
}

Object *find(void *handle, char kind) {
  auto it = objects.find(handle);
  if (it == objects.end() || it->second.kind != kind) {
    violation("a handle that is none, or is gone", 0);
    return nullptr;
  }
  if (it->second.device != current) {
    violation("a handle of another GPU", 0);
    return nullptr;
  }
  return &it->second;
}

void *add(char kind) {
  void *handle = new char;
  Object &object = objects[handle];
  object.kind = kind;
  object.device = current;
  return handle;
}

int destroy(void *handle, char kind) {
  if (int code = begin()) return code;
  if (!find(handle, kind)) return INVALID_HANDLE;
  objects.erase(handle);
  delete static_cast<char *>(handle);
  return 0;
}

// Memory that ends, but for less than the 256 bytes to which a driver aligns, where a page begins that nobody may touch.
int allocate(char kind, void **out, size_t bytes) {
  if (int code = begin()) return code;
  if (recording) return violation("memory is allocated while this thread records", NOT_PERMITTED);
  size_t used = 0;
  for (auto &o : objects)
    if (o.second.kind == 'd' || o.second.kind == 'h') used += o.second.bytes;
  if (bytes == 0) return INVALID_VALUE;
  if (static_cast<long long>(used + bytes) > settings["memory"]) return OUT_OF_MEMORY;
  const size_t page = sysconf(_SC_PAGESIZE), rounded = (bytes + 255) / 256 * 256, pages = (rounded + page - 1) / page * page;
  char *mapping = static_cast<char *>(mmap(nullptr, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (mapping == MAP_FAILED) return OUT_OF_MEMORY;
  mprotect(mapping + pages, page, PROT_NONE);
  // What was never written is neither 0 nor a sensible number.
  memset(mapping, 0xA5, pages);
  Object object;
  object.kind = kind;
  object.device = current;
  object.bytes = bytes;
  object.mapping = mapping;
  object.mapped = pages + page;
  *out = mapping + pages - rounded;
  objects[*out] = object;
  return 0;
}

int release(void *address, char kind) {
  if (int code = begin()) return code;
  Object *object = find(address, kind);
  if (!object) return INVALID_VALUE;
  if (recording) return violation("memory is freed while this thread records", NOT_PERMITTED);
  munmap(object->mapping, object->mapped);
  objects.erase(address);
  return 0;
}

// Whether so many bytes from here on lie within one piece of memory of this kind ('*': of either).
bool covers(uint64_t address, uint64_t bytes, char kind) {
  void *pointer = reinterpret_cast<void *>(address);
  auto it = objects.upper_bound(pointer);
  while (it != objects.begin()) {
    --it;
    const Object &o = it->second;
    if (o.kind != 'd' && o.kind != 'h') continue;
    const uint64_t begin = reinterpret_cast<uint64_t>(it->first);
    return o.device == current && (kind == '*' || o.kind == kind) && address - begin <= o.bytes && bytes <= o.bytes - (address - begin);
  }
  return false;
}

// Does the work now, or records it.
int enqueue(void *stream, Work work) {
  Object *object = find(stream, 's');
  if (!object) return INVALID_HANDLE;
  if (object->capturing) {
    object->work.push_back(std::move(work));
    return 0;
  }
  const int code = work();
  // Asked afterwards: a kernel reads the settings.
  if (settings["hang"]) object->hangs = true;
  return code;
}

int copy(const char *what, void *to, const void *from, size_t bytes, void *stream, bool to_device) {
  std::unique_lock<std::recursive_mutex> guard(lock);
  if (int code = begin()) return code;
  const uint64_t device = reinterpret_cast<uint64_t>(to_device ? to : from);
  const uint64_t host = reinterpret_cast<uint64_t>(to_device ? from : to);
  Object *object = find(stream, 's');
  if (object && object->capturing && !covers(host, bytes, 'h')) return violation("pageable memory in a recording", NOT_PERMITTED);
  const bool pinned = covers(host, 1, 'h');
  // As a driver does, which copies pageable memory by itself when all before is done.
  while (!pinned && object && object->hangs) {
    guard.unlock();
    usleep(1000);
    guard.lock();
  }
  return enqueue(stream, [=] {
    counts["copies"]++;
    if (!covers(device, bytes, '*')) return violation(what, INVALID_VALUE);
    if (pinned && !covers(host, bytes, 'h')) return violation("a copy beyond pinned memory", INVALID_VALUE);
    memcpy(to, from, bytes);
    return 0;
  });
}

// Everything that the kernel is to reach lies in memory that there is.
bool is_sound(const Job &job, int format) {
  const unsigned area = job.width * job.height;
  if (!covers(reinterpret_cast<uint64_t>(job.out), 12ULL * area, '*')) return violation("the output is too small", false);
  const unsigned width = job.inner[2], height = job.inner[3];
  if (width == 0 || height == 0) return true;
  if (job.inner[0] + width > job.width || job.inner[1] + height > job.height) return violation("the picture does not fit", false);
  for (int grid = 0; grid < (format == 2 ? 1 : 2); grid++) {
    const Column *columns = job.columns[grid];
    const Row *rows = job.rows[grid];
    if (!covers(reinterpret_cast<uint64_t>(columns), 8ULL * width, '*') || !covers(reinterpret_cast<uint64_t>(rows), 8ULL * height, '*'))
      return violation("tables are too small", false);
    for (unsigned x = 0; x < width; x++)
      if (columns[x].left > job.last_column[grid]) return violation("a column beyond the plane", false);
    for (unsigned y = 0; y < height; y++)
      if (rows[y].top > job.last_row[grid]) return violation("a row beyond the plane", false);
  }
  static const int every[3][3] = {{1, 2, 0}, {1, 1, 1}, {3, 0, 0}};
  for (int plane = 0; plane < 3; plane++) {
    if (every[format][plane] == 0) continue;
    const int grid = plane > 0;
    const uint64_t bytes = uint64_t(job.strides[plane]) * job.last_row[grid] + uint64_t(job.last_column[grid] + 1) * every[format][plane];
    if (!covers(reinterpret_cast<uint64_t>(job.planes[plane]), bytes, '*')) return violation("a plane is too small", false);
  }
  return true;
}

int run_kernel(int format, const Job &job, unsigned columns, unsigned rows) {
  Guard guard(lock);
  read_settings_file();
  counts["launches"]++;
  Context &context = contexts[current];
  const bool befalls = settings["fault_device"] < 0 || settings["fault_device"] == current;
  if (befalls && settings["fault_launch"] > 0 && counts["launches"] >= settings["fault_launch"]) context.fault = settings["fault_code"];
  // A fault is seen by a later call, as on a GPU.
  if (context.fault || !is_sound(job, format)) return 0;
  void (*const kernels[3])(Job) = {letterbox_nv12, letterbox_i420, letterbox_rgb};
  for (thread_y = 0; thread_y < rows; thread_y++)
    for (thread_x = 0; thread_x < columns; thread_x++) kernels[format](job);
  return 0;
}

struct Error { int code; const char *name, *text; };
const Error errors[] = {
    {0, "CUDA_SUCCESS", "no error"}, {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"}, {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"}, {34, "CUDA_ERROR_STUB_LIBRARY", "CUDA driver is a stub library"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}, {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}, {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}, {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"}, {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}, {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"}, {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

void forget(int device) {
  for (auto it = objects.begin(); it != objects.end();) {
    if (it->second.device != device) {
      ++it;
      continue;
    }
    if (it->second.mapping) munmap(it->second.mapping, it->second.mapped);
    else delete static_cast<char *>(it->first);
    it = objects.erase(it);
  }
}

// What is left when the process ends was leaked, unless the GPU was lost: then nobody may give anything back.
__attribute__((destructor)) void at_end() {
  Guard guard(lock);
  bool leaked = false;
  for (auto &o : objects) {
    if (contexts[o.second.device].fault || settings["hang"]) continue;
    fprintf(stderr, "stand-in libcuda: leaked: %c of %zu bytes\n", o.second.kind, o.second.bytes);
    leaked = true;
  }
  if ((leaked || counts["violations"]) && !settings["lenient"]) abort();
}

}  // namespace

static unsigned char load(const void *job_, int plane, int grid, int every, const unsigned char *byte) {
  const Job &job = *static_cast<const Job *>(job_);
  const ptrdiff_t at = byte - job.planes[plane];
  const ptrdiff_t row = job.strides[plane] ? at / job.strides[plane] : 0, within = at - row * job.strides[plane];
  if (at < 0 || row > job.last_row[grid] || within >= ptrdiff_t(job.last_column[grid] + 1) * every) {
    violation("the kernel reads beyond a plane", 0);
    return 0;
  }
  return *byte;
}

API void standin_set(const char *name, long long value) {
  Guard guard(lock);
  settings[name] = value;
}
API long long standin_get(const char *name) {
  Guard guard(lock);
  if (!strcmp(name, "objects")) return objects.size();
  return settings.count(name) ? settings[name] : counts[name];
}

API int cuInit(unsigned flags) {
  Guard guard(lock);
  if (const char *text = getenv("PEREGRINE_STANDIN_CUDA")) read_settings(text);
  read_settings_file();
  if (flags) return INVALID_VALUE;
  if (settings["init"]) return settings["init"];
  if (settings["devices"] == 0) return NO_DEVICE;
  initialised = true;
  return 0;
}
API int cuDriverGetVersion(int *version) {
  *version = settings["version"];
  return 0;
}
API int cuGetErrorName(int code, const char **name) {
  for (const Error &e : errors)
    if (e.code == code) return *name = e.name, 0;
  return INVALID_VALUE;
}
API int cuGetErrorString(int code, const char **text) {
  for (const Error &e : errors)
    if (e.code == code) return *text = e.text, 0;
  return INVALID_VALUE;
}
API int cuDeviceGetCount(int *count) {
  if (!initialised) return violation("a call before cuInit", NOT_INITIALIZED);
  *count = settings["devices"];
  return 0;
}
API int cuDeviceGet(int *device, int ordinal) {
  if (ordinal < 0 || ordinal >= settings["devices"]) return INVALID_DEVICE;
  *device = ordinal;
  return 0;
}
API int cuDeviceGetName(char *name, int bytes, int device) {
  const char *given = getenv("PEREGRINE_STANDIN_CUDA_NAME");
  snprintf(name, bytes, "%s %d", given ? given : "Stand-in GPU", device);
  return 0;
}
API int cuDeviceTotalMem_v2(size_t *bytes, int) {
  *bytes = settings["memory"];
  return 0;
}
API int cuDeviceGetAttribute(int *value, int which, int) {
  if (which == 75) *value = settings["compute"] / 10;
  else if (which == 76) *value = settings["compute"] % 10;
  else if (which == 18) *value = settings["integrated"];
  else if (which == 19) *value = 1;
  else return INVALID_VALUE;
  return 0;
}
API int cuDevicePrimaryCtxRetain(void **context, int device) {
  Guard guard(lock);
  Context &c = contexts[device];
  if (c.fault) return c.fault;
  c.retained++;
  *context = reinterpret_cast<void *>(uintptr_t(device) + 1);
  return 0;
}
static int primary_ctx_release(int device) {
  Guard guard(lock);
  Context &c = contexts[device];
  if (c.retained == 0) return violation("a context is released too often", INVALID_CONTEXT);
  if (--c.retained == 0) {
    for (auto &o : objects)
      if (o.second.device == device) violation("something is left on a context that goes", 0);
    forget(device);
    c.generation++;
  }
  return 0;
}
static int primary_ctx_reset(int device) {
  Guard guard(lock);
  if (settings["reset"]) return settings["reset"];
  forget(device);
  contexts[device].fault = 0;
  contexts[device].generation++;
  return 0;
}
#ifdef CUDA_10_2
API int cuDevicePrimaryCtxRelease(int device) { return primary_ctx_release(device); }
API int cuDevicePrimaryCtxReset(int device) { return primary_ctx_reset(device); }
#else
API int cuDevicePrimaryCtxRelease_v2(int device) { return primary_ctx_release(device); }
API int cuDevicePrimaryCtxReset_v2(int device) { return primary_ctx_reset(device); }
#endif
API int cuCtxSetCurrent(void *context) {
  Guard guard(lock);
  const int device = int(reinterpret_cast<uintptr_t>(context)) - 1;
  if (device < 0 || contexts[device].retained == 0) return violation("a context that is gone is made current", INVALID_CONTEXT);
  current = device;
  current_generation = contexts[device].generation;
  return 0;
}
API int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  Guard guard(lock);
  if (int code = begin()) return code;
  *total = *free_bytes = settings["memory"];
  for (auto &o : objects) *free_bytes -= o.second.bytes;
  return 0;
}
API int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  Guard guard(lock);
  return allocate('d', reinterpret_cast<void **>(address), bytes);
}
API int cuMemFree_v2(uint64_t address) {
  Guard guard(lock);
  return release(reinterpret_cast<void *>(address), 'd');
}
API int cuMemHostAlloc(void **out, size_t bytes, unsigned) {
  Guard guard(lock);
  return allocate('h', out, bytes);
}
API int cuMemFreeHost(void *address) {
  Guard guard(lock);
  return release(address, 'h');
}
API int cuMemHostGetDevicePointer_v2(uint64_t *address, void *host, unsigned) {
  Guard guard(lock);
  if (int code = begin()) return code;
  if (!covers(reinterpret_cast<uint64_t>(host), 1, 'h')) return violation("an address is asked for what is not pinned", INVALID_VALUE);
  *address = reinterpret_cast<uint64_t>(host);
  return 0;
}
API int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) {
  return copy("a copy beyond the GPU's memory", reinterpret_cast<void *>(to), from, bytes, stream, true);
}
API int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
  return copy("a copy from beyond the GPU's memory", to, reinterpret_cast<void *>(from), bytes, stream, false);
}
API int cuStreamCreate(void **stream, unsigned) {
  Guard guard(lock);
  if (int code = begin()) return code;
  *stream = add('s');
  return 0;
}
API int cuStreamDestroy_v2(void *stream) {
  Guard guard(lock);
  return destroy(stream, 's');
}
API int cuStreamSynchronize(void *) {
  Guard guard(lock);
  return begin();
}
API int cuStreamIsCapturing(void *stream, int *status) {
  Guard guard(lock);
  if (int code = begin()) return code;
  Object *object = find(stream, 's');
  if (!object) return INVALID_HANDLE;
  *status = object->capturing;
  return 0;
}
API int cuEventCreate(void **event, unsigned) {
  Guard guard(lock);
  if (int code = begin()) return code;
  *event = add('e');
  return 0;
}
API int cuEventDestroy_v2(void *event) {
  Guard guard(lock);
  return destroy(event, 'e');
}
API int cuEventRecord(void *event, void *stream) {
  Guard guard(lock);
  if (int code = begin()) return code;
  Object *object = find(event, 'e'), *on = find(stream, 's');
  if (!object || !on) return INVALID_HANDLE;
  if (on->capturing) return violation("a recording is waited for", NOT_PERMITTED);
  object->recorded = true;
  return 0;
}
API int cuEventQuery(void *event) {
  Guard guard(lock);
  if (int code = begin()) return code;
  Object *object = find(event, 'e');
  if (!object) return INVALID_HANDLE;
  return settings["hang"] && object->recorded ? NOT_READY : 0;
}
API int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values) {
  Guard guard(lock);
  if (int code = begin()) return code;
  for (const char *name : function_names) {
    if (strstr(static_cast<const char *>(image), (std::string(".visible .entry letterbox_") + name + "(").c_str())) continue;
    for (unsigned i = 0; i + 1 < count; i++)
      if (options[i] == 5) snprintf(static_cast<char *>(values[i]), size_t(values[i + 1]), "ptxas: no letterbox_%s", name);
    return INVALID_PTX;
  }
  *module = add('m');
  return 0;
}
API int cuModuleUnload(void *module) {
  Guard guard(lock);
  return destroy(module, 'm');
}
API int cuModuleGetFunction(void **function, void *module, const char *name) {
  Guard guard(lock);
  if (int code = begin()) return code;
  if (!find(module, 'm')) return INVALID_HANDLE;
  for (char *known : function_names)
    if (std::string("letterbox_") + known == name) return *function = known, 0;
  return NOT_FOUND;
}
API int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned, unsigned bx, unsigned by, unsigned, unsigned, void *stream, void **args, void **) {
  Guard guard(lock);
  if (int code = begin()) return code;
  const int format = static_cast<char(*)[16]>(function) - function_names;
  const Job job = *static_cast<Job *>(args[0]);
  return enqueue(stream, [=] { return run_kernel(format, job, gx * bx, gy * by); });
}
// A stand-in TensorRT computes through this one, so that it can be recorded too.
API int cuLaunchHostFunc(void *stream, void (*work)(void *), void *data) {
  Work run = [=] { return work(data), 0; };
  {
    Guard guard(lock);
    if (int code = begin()) return code;
    Object *object = find(stream, 's');
    if (!object) return INVALID_HANDLE;
    if (object->capturing) return enqueue(stream, run);
  }
  return run();
}
#ifndef CUDA_10_2
API int cuStreamBeginCapture_v2(void *stream, int mode) {
  Guard guard(lock);
  if (int code = begin()) return code;
  Object *object = find(stream, 's');
  if (!object || object->capturing || mode != 1) return violation("a recording that cannot begin", INVALID_VALUE);
  object->capturing = true;
  recording = stream;
  return 0;
}
API int cuStreamEndCapture(void *stream, void **graph) {
  Guard guard(lock);
  if (int code = begin()) return code;
  Object *object = find(stream, 's');
  if (!object || !object->capturing) return violation("no recording ends", INVALID_VALUE);
  object->capturing = false;
  recording = nullptr;
  *graph = add('t');
  objects[*graph].work.swap(objects[stream].work);
  return 0;
}
API int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long) {
  Guard guard(lock);
  if (int code = begin()) return code;
  if (!find(graph, 't')) return INVALID_HANDLE;
  *exec = add('g');
  objects[*exec].work = objects[graph].work;
  return 0;
}
API int cuGraphLaunch(void *exec, void *stream) {
  std::vector<Work> work;
  {
    Guard guard(lock);
    if (int code = begin()) return code;
    if (!find(exec, 'g') || !find(stream, 's')) return INVALID_HANDLE;
    counts["graph_launches"]++;
    work = objects[exec].work;
  }
  for (Work &step : work)
    if (int code = step()) return code;
  return 0;
}
API int cuGraphExecDestroy(void *exec) {
  Guard guard(lock);
  return destroy(exec, 'g');
}
API int cuGraphDestroy(void *graph) {
  Guard guard(lock);
  return destroy(graph, 't');
}
#endif
