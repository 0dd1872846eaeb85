// A plugin for qemu-user that writes the code of every instruction executed in a kernel (functions named *row* or *write_some*), as bytes that
// llvm-mc disassembles and llvm-mca takes: what a processor's model makes of a whole convolution, not of its loop alone.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#define EXPORTED __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);

EXPORTED int qemu_plugin_version = 1;
static FILE *out;

static void executed(unsigned cpu, void *code) {
  uint32_t c = (uint32_t)(uintptr_t)code;
  fprintf(out, "0x%02x 0x%02x 0x%02x 0x%02x\n", c & 255, c >> 8 & 255, c >> 16 & 255, c >> 24);
}
static void translated(plugin_id id, struct qemu_plugin_tb *block) {
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
    const char *name = qemu_plugin_insn_symbol(insn);
    if (!name || !strstr(name, "kernel") || !(strstr(name, "row") || strstr(name, "write_some"))) continue;
    uint32_t code;
    memcpy(&code, qemu_plugin_insn_data(insn), 4);
    qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, 0, (void *)(uintptr_t)code);
  }
}
static void ended(plugin_id id, void *unused) { fclose(out); }

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  const char *path = argc > 0 && !strncmp(argv[0], "out=", 4) ? argv[0] + 4 : "trace.txt";
  if (!(out = fopen(path, "w"))) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
