// The three functions of a C++ library that the tables refer to, so that none is linked. Hidden: they are nobody else's.
//
// Nothing is ever freed through the first two: a class with a virtual destructor names them all the same, and objects of TensorRT delete
// themselves with their own library's. Their names are those that the C++ interface of every Linux gives to operator delete.
#include <stddef.h>
#include <stdlib.h>

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN void _ZdlPv(void* memory) { free(memory); }
HIDDEN void _ZdlPvm(void* memory, size_t size) {
  (void)size;
  free(memory);
}
HIDDEN void __cxa_pure_virtual(void) { abort(); }
