// A plugin for qemu-user that counts the instructions a program executes; declares the few functions of the plugin interface (version 1)
// that it needs, since Debian ships no header.
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#define EXPORTED __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

EXPORTED int qemu_plugin_version = 1;
static uint64_t total;

static void executed(unsigned cpu, void *count) { total += (uintptr_t)count; }
static void translated(plugin_id id, struct qemu_plugin_tb *block) {
  qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}
static void ended(plugin_id id, void *unused) { fprintf(stderr, "instructions %" PRIu64 "\n", total); }

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
