/* The few declarations of QEMU's plugin interface that tq_count.c needs. They stand for QEMU's own
 * header, which distributions leave out.
 *
 * Source: QEMU documentation, "QEMU TCG Plugins".
 */
#ifndef TQ_QEMU_H
#define TQ_QEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef TQ_PLUGIN_VERSION
#define TQ_PLUGIN_VERSION 1
#endif

typedef uint64_t plugin_id;
typedef struct qemu_info_t {
    const char *target_name; /* and more that is not needed here */
} qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum { NO_REGISTERS = 0 };
enum { READ_AND_WRITE = 3 };
enum { ADD_U64 = 0 };

typedef void (*translate_callback)(plugin_id id, struct qemu_plugin_tb *block);
typedef void (*execute_callback)(unsigned int core, void *data);
typedef void (*exit_callback)(plugin_id id, void *data);
typedef void (*access_callback)(unsigned int core, uint32_t access, uint64_t address, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translate_callback callback);
void qemu_plugin_register_atexit_cb(plugin_id id, exit_callback callback, void *data);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, execute_callback callback,
                                          int registers, void *data);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int operation,
                                              void *counter, uint64_t operand);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction,
                                            execute_callback callback, int registers, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
#if TQ_PLUGIN_VERSION >= 2
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
#endif
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *instruction,
                                      access_callback callback, int registers, int kinds,
                                      void *data);
bool qemu_plugin_mem_is_store(uint32_t access);

#endif
