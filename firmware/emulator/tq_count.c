/* QEMU plugin: count executed guest instructions exactly, per address and per layer.
 *
 * Loaded as -plugin file=tq_count.so,out=FILE,run=ADDRESS,mark=ADDRESS,layers=N,skip=FROM-TO,...
 * The words after the first are the settings of tq_layers.h.
 *
 * QEMU translates straight runs of instructions and leaves them only at their end, because firmware
 * that works raises no fault in the middle. So a counter per run is exact for each instruction in it:
 *
 *   executed(address) = sum of executions of all translated runs that hold the address
 *
 * The same address may be translated more than once. An instruction whose condition fails counts, as
 * it takes its cycle on a core. FILE is written when QEMU exits, as lines
 *
 *   runs,COUNT
 *   total,INSTRUCTIONS          all of them
 *   layer,INDEX,SUM,MIN,MAX     over the complete inferences, without skipped addresses
 *   address,HEX,COUNT
 *   cost,LAYER,HEX,EXECUTIONS,TAKEN,FLASH_LOADS,OTHER_LOADS,STORES
 *
 * A `cost` is what one instruction did in one layer of the first complete inference. TAKEN is how
 * often it was the last of its run and the next run did not start behind it, which is a branch for
 * every instruction set. Loads and stores are accesses: a load of two registers makes two. These
 * are counted by a call for each run and access, apart from the counters above.
 *
 * Interface version 1 (QEMU 4.2 .. 8.2) adds inline; from version 2 on (QEMU 9) that function is
 * gone, and TQ_COUNT_BY_CALL counts by calls that every version has.
 *
 * Source: QEMU documentation, "QEMU TCG Plugins".
 */
#include <stdbool.h>

#define PROGRAM "tq_count"
#include "tq_layers.h"
#include "tq_qemu.h"

#if TQ_PLUGIN_VERSION >= 2
#define TQ_COUNT_BY_CALL
#endif

#define EXPORTED __attribute__((visibility("default")))
#define UNUSED __attribute__((unused))

EXPORTED extern int qemu_plugin_version;
EXPORTED int qemu_plugin_install(plugin_id id, const qemu_info_t *info, int argc, char **argv);

int qemu_plugin_version = TQ_PLUGIN_VERSION;

/* ---- what is counted ---- */

/* What one instruction did in one layer. */
typedef struct {
    uint64_t executions;
    uint64_t taken;
    uint64_t flash_loads;
    uint64_t other_loads;
    uint64_t stores;
} cost;

/* An instruction, however often it is translated. */
typedef struct site {
    struct site *next; /* with the same hash */
    uint64_t address;
    cost **costs; /* [layers], NULL where it did not run */
} site;

typedef struct translated_run {
    struct translated_run *next;
    uint64_t executions;
    uint64_t counted; /* instructions outside the skipped addresses */
    uint64_t end;     /* address behind the last instruction */
    site **sites;     /* [length], NULL when no costs are asked for */
    size_t length;
    uint64_t addresses[];
} translated_run;

enum { HASHES = 4096 };

static translated_run *translated; /* newest first */
static site *sites[HASHES];
static const translated_run *last_run;
static int is_arm; /* or RISC-V */

/* ---- costs of single instructions ---- */

static site *find_site(uint64_t address)
{
    site **hashed = &sites[(address / 2) % HASHES];
    for (site *found = *hashed; found != NULL; found = found->next) {
        if (found->address == address) {
            return found;
        }
    }
    site *added = allocate(1, sizeof *added);
    added->address = address;
    added->next = *hashed;
    *hashed = added;
    return added;
}

static cost *find_cost(site *of)
{
    if (of->costs == NULL) {
        of->costs = allocate(settings.layers + 1, sizeof *of->costs);
    }
    cost **found = &of->costs[next_mark - 1];
    if (*found == NULL) {
        *found = allocate(1, sizeof **found);
    }
    return *found;
}

static void enter_run(unsigned int core, void *data)
{
    const translated_run *run = data;
    (void)core;
    if (in_layer()) {
        if (last_run != NULL && last_run->end != run->addresses[0]) {
            find_cost(last_run->sites[last_run->length - 1])->taken++;
        }
        for (size_t i = 0; i < run->length; i++) {
            find_cost(run->sites[i])->executions++;
        }
    }
    last_run = run;
}

static void access_memory(unsigned int core, uint32_t access, uint64_t address, void *data)
{
    (void)core;
    if (!in_layer()) {
        return;
    }
    cost *found = find_cost(data);
    if (qemu_plugin_mem_is_store(access)) {
        found->stores++;
    } else if (lies_in(&settings.flash, address)) {
        found->flash_loads++;
    } else {
        found->other_loads++;
    }
}

/* Forget the costs of an inference that a reset has cut off. */
static void forget_costs(void)
{
    for (size_t i = 0; i < HASHES; i++) {
        for (site *of = sites[i]; of != NULL; of = of->next) {
            for (size_t layer = 0; of->costs != NULL && layer < settings.layers; layer++) {
                free(of->costs[layer]);
                of->costs[layer] = NULL;
            }
        }
    }
}

/* Bytes of an instruction. Older versions of QEMU add the next one's start to the size of an
 * instruction at the end of a page, so that only the first two bytes tell. */
static uint64_t size_of(const struct qemu_plugin_insn *instruction)
{
#if TQ_PLUGIN_VERSION >= 2
    return qemu_plugin_insn_size(instruction);
#else
    uint16_t start;
    memcpy(&start, qemu_plugin_insn_data(instruction), sizeof start);
    return (is_arm ? start >= 0xe800u : (start & 3u) == 3u) ? 4 : 2;
#endif
}

static void watch_sites(struct qemu_plugin_tb *block, translated_run *run)
{
    struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(block, run->length - 1);
    run->end = qemu_plugin_insn_vaddr(last) + size_of(last);
    run->sites = allocate(run->length, sizeof *run->sites);
    for (size_t i = 0; i < run->length; i++) {
        run->sites[i] = find_site(run->addresses[i]);
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(block, i), access_memory,
                                         NO_REGISTERS, READ_AND_WRITE, run->sites[i]);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(block, enter_run, NO_REGISTERS, run);
}

/* ---- while the firmware runs ---- */

static void start_inference(unsigned int core, void *data)
{
    (void)core;
    (void)data;
    next_mark = 0;
    if (complete_runs == 0) {
        forget_costs();
    }
}

static void meet_mark(unsigned int core, void *data)
{
    (void)core;
    (void)data;
    pass_mark();
}

UNUSED static void add_execution(unsigned int core, void *data)
{
    translated_run *run = data;
    (void)core;
    run->executions++;
    counted += run->counted;
}

static void count_executions(struct qemu_plugin_tb *block, translated_run *run)
{
#ifdef TQ_COUNT_BY_CALL
    qemu_plugin_register_vcpu_tb_exec_cb(block, add_execution, NO_REGISTERS, run);
#else
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &run->executions, 1);
    if (run->counted > 0) {
        qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counted, run->counted);
    }
#endif
}

static void translate(plugin_id id, struct qemu_plugin_tb *block)
{
    const size_t length = qemu_plugin_tb_n_insns(block);
    translated_run *run = allocate(1, sizeof *run + length * sizeof run->addresses[0]);
    (void)id;
    run->length = length;
    run->next = translated;
    translated = run;
    for (size_t i = 0; i < length; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        const uint64_t address = qemu_plugin_insn_vaddr(instruction);
        run->addresses[i] = address;
        run->counted += is_skipped(address) ? 0 : 1;
        if (address == settings.mark) {
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, meet_mark, NO_REGISTERS, NULL);
        } else if (address == settings.run) {
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, start_inference, NO_REGISTERS,
                                                   NULL);
        }
    }
    count_executions(block, run);
    if (wants_costs()) {
        watch_sites(block, run);
    }
}

/* ---- at the end ---- */

typedef struct {
    uint64_t address;
    uint64_t executions;
} address_count;

static int compare_addresses(const void *left, const void *right)
{
    const uint64_t a = ((const address_count *)left)->address;
    const uint64_t b = ((const address_count *)right)->address;
    return (a > b) - (a < b);
}

/* Write one line per address, equal addresses added up. Returns the sum over all. */
static uint64_t write_addresses(FILE *file)
{
    size_t length = 0;
    for (const translated_run *run = translated; run != NULL; run = run->next) {
        length += run->length;
    }
    address_count *counts = allocate(length + 1, sizeof *counts);
    size_t at = 0;
    for (const translated_run *run = translated; run != NULL; run = run->next) {
        for (size_t i = 0; i < run->length; i++) {
            counts[at].address = run->addresses[i];
            counts[at].executions = run->executions;
            at++;
        }
    }
    qsort(counts, length, sizeof *counts, compare_addresses);
    uint64_t total = 0;
    for (size_t i = 0; i < length;) {
        uint64_t executions = 0;
        const uint64_t address = counts[i].address;
        for (; i < length && counts[i].address == address; i++) {
            executions += counts[i].executions;
        }
        if (executions > 0) {
            fprintf(file, "address,%" PRIx64 ",%" PRIu64 "\n", address, executions);
        }
        total += executions;
    }
    free(counts);
    return total;
}

static void write_costs(FILE *file, const site *of)
{
    for (size_t layer = 0; of->costs != NULL && layer < settings.layers; layer++) {
        const cost *it = of->costs[layer];
        if (it != NULL && !is_skipped(of->address)) {
            fprintf(file,
                    "cost,%zu,%" PRIx64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
                    "\n",
                    layer, of->address, it->executions, it->taken, it->flash_loads, it->other_loads,
                    it->stores);
        }
    }
}

static void write_counts(plugin_id id, void *data)
{
    FILE *file = fopen(settings.out, "w");
    (void)id;
    (void)data;
    if (file == NULL) {
        fprintf(stderr, "tq_count: cannot write %s\n", settings.out);
        return;
    }
    write_layers(file);
    for (size_t i = 0; i < HASHES; i++) {
        for (const site *of = sites[i]; of != NULL; of = of->next) {
            write_costs(file, of);
        }
    }
    const uint64_t total = write_addresses(file);
    fprintf(file, "total,%" PRIu64 "\n", total);
    if (fclose(file) != 0) {
        fprintf(stderr, "tq_count: cannot finish %s\n", settings.out);
    }
}

int qemu_plugin_install(plugin_id id, const qemu_info_t *info, int argc, char **argv)
{
    is_arm = strcmp(info->target_name, "arm") == 0;
    for (int i = 0; i < argc; i++) {
        parse_setting(argv[i]);
    }
    if (settings.out == NULL) {
        fail("missing setting", "out");
    }
    prepare_layers();
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, write_counts, NULL);
    return 0;
}
