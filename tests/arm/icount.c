// A plugin for qemu-user that counts the instructions a program executes, all of them and those of each function; declares the few
// functions of the plugin interface (version 1) that it needs, since Debian ships no header. Prints "instructions N", then "N NAME" a line.
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#define EXPORTED __attribute__((visibility("default")))
#define FUNCTIONS 4096
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int, void *, uint64_t);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);

EXPORTED int qemu_plugin_version = 1;
static struct { const char *name; uint64_t count; } functions[FUNCTIONS];
static size_t known;

static uint64_t *count_of(const char *name) {
  size_t i = 0;
  if (!name) name = "?";
  while (i < known && strcmp(functions[i].name, name)) i++;
  if (i == known && known < FUNCTIONS - 1) functions[known++].name = name;
  return &functions[i].count;
}
static void translated(plugin_id id, struct qemu_plugin_tb *block) {
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
    qemu_plugin_register_vcpu_insn_exec_inline(insn, 0, count_of(qemu_plugin_insn_symbol(insn)), 1);
  }
}
static void ended(plugin_id id, void *unused) {
  uint64_t total = 0;
  for (size_t i = 0; i < FUNCTIONS; i++) total += functions[i].count;
  fprintf(stderr, "instructions %" PRIu64 "\n", total);
  for (size_t i = 0; i < known; i++) fprintf(stderr, "%" PRIu64 " %s\n", functions[i].count, functions[i].name);
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
