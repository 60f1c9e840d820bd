/* Runs an AVR firmware in simavr: USART 0 is on standard input and output, and executed instructions
 * are counted per address and per layer.
 *
 * Called as tq_simavr image=FILE,mcu=NAME,clock=HZ[,out=FILE,run=ADDRESS,mark=ADDRESS,layers=N,
 *                     skip=FROM-TO,...,flash=FROM-TO]
 *
 *   image   the flash from address 0, a raw binary
 *   others  as in tq_count.c, whose lines FILE has as well; addresses are in bytes, and the lines
 *           `cost` say nothing of loads and stores, which are instructions of their own here
 *
 * A reset of the chip starts it anew with the flash that it was given. The program ends with standard
 * input or by SIGTERM.
 *
 * Source: simavr 1.6, sim_avr.h and avr_uart.h.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <simavr/sim_avr.h>

#include <simavr/avr_uart.h>

enum { INPUT_BYTES = 4096, POLL_INSTRUCTIONS = 512, RANGES = 16 };

typedef struct {
    uint64_t current; /* of the inference under way */
    uint64_t sum;
    uint64_t min;
    uint64_t max;
} layer_count;

static struct {
    const char *image;
    const char *mcu;
    const char *out;
    uint32_t clock_hz;
    uint32_t run;
    uint32_t mark;
    size_t layers;
    uint32_t skip[RANGES][2];
    size_t skips;
    int costs; /* whether they are asked for */
} settings;

typedef struct {
    uint64_t executions;
    uint64_t taken;
} cost;

static uint64_t *executions;      /* [flash words] */
static uint8_t *skipped;          /* [flash words] */
static uint64_t counted;          /* executed instructions outside the skipped addresses */
static layer_count *layer_counts; /* [layers] */
static uint64_t complete_runs;
static size_t next_mark; /* 0 .. layers; layers + 1 while no inference is under way */
static uint64_t counted_at_mark;
static cost *costs; /* [layers][flash words], of the first complete inference */
static size_t flash_words;
static uint32_t last_address;
static uint32_t behind_last; /* address of the instruction after the last one */

static avr_irq_t *line_input;
static int line_ready = 1; /* the chip's receive buffer has room */
static uint8_t output[256];
static size_t output_count;

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static void fail(const char *problem, const char *text)
{
    fprintf(stderr, "tq_simavr: %s: %s\n", problem, text);
    exit(EXIT_FAILURE);
}

static void *allocate(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    if (memory == NULL) {
        fail("out of memory", "stopped");
    }
    return memory;
}

/* ---- counting ---- */

static void commit_inference(void)
{
    for (size_t i = 0; i < settings.layers; i++) {
        layer_count *layer = &layer_counts[i];
        layer->sum += layer->current;
        layer->min =
            complete_runs == 0 || layer->current < layer->min ? layer->current : layer->min;
        layer->max = layer->current > layer->max ? layer->current : layer->max;
    }
    complete_runs++;
}

static void pass_mark(void)
{
    if (next_mark > settings.layers) {
        return; /* a mark outside of an inference, such as one that measures the mark itself */
    }
    if (next_mark > 0) {
        layer_counts[next_mark - 1].current = counted - counted_at_mark;
    }
    if (next_mark == settings.layers) {
        commit_inference();
    }
    counted_at_mark = counted;
    next_mark++;
}

/* Whether an instruction has two words: LDS, STS, JMP, CALL. */
static int is_long(uint16_t word)
{
    return (word & 0xfc0fu) == 0x9000u || (word & 0xfe0cu) == 0x940cu;
}

static void add_cost(const avr_t *avr, uint32_t address)
{
    if (complete_runs == 0 && next_mark > 0 && next_mark <= settings.layers) {
        cost *layer = &costs[(next_mark - 1) * flash_words];
        layer[last_address / 2].taken += address != behind_last;
        layer[address / 2].executions++;
    }
    const uint16_t word = (uint16_t)(avr->flash[address] | avr->flash[address + 1] << 8);
    last_address = address;
    behind_last = address + (is_long(word) ? 4 : 2);
}

static void count(const avr_t *avr, uint32_t address)
{
    if (costs != NULL) {
        add_cost(avr, address);
    }
    if (address == settings.mark) {
        pass_mark();
    } else if (address == settings.run) {
        next_mark = 0;
        if (costs != NULL && complete_runs == 0) {
            memset(costs, 0, settings.layers * flash_words * sizeof *costs);
        }
    }
    executions[address / 2]++;
    counted += !skipped[address / 2];
}

static void write_counts(size_t words)
{
    uint64_t total = 0;
    FILE *file = fopen(settings.out, "w");
    if (file == NULL) {
        fail("cannot write", settings.out);
    }
    fprintf(file, "runs,%" PRIu64 "\n", complete_runs);
    for (size_t i = 0; i < settings.layers; i++) {
        const layer_count *layer = &layer_counts[i];
        fprintf(file, "layer,%zu,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", i, layer->sum, layer->min,
                layer->max);
    }
    for (size_t i = 0; i < words; i++) {
        if (executions[i] > 0) {
            fprintf(file, "address,%zx,%" PRIu64 "\n", 2 * i, executions[i]);
            total += executions[i];
        }
    }
    for (size_t i = 0; costs != NULL && i < settings.layers * flash_words; i++) {
        if (costs[i].executions > 0 && !skipped[i % flash_words]) {
            fprintf(file, "cost,%zu,%zx,%" PRIu64 ",%" PRIu64 ",0,0,0\n", i / flash_words,
                    2 * (i % flash_words), costs[i].executions, costs[i].taken);
        }
    }
    fprintf(file, "total,%" PRIu64 "\n", total);
    if (fclose(file) != 0) {
        fail("cannot finish", settings.out);
    }
}

/* ---- the serial line ---- */

static void flush_output(void)
{
    for (size_t sent = 0; sent < output_count;) {
        const ssize_t step = write(STDOUT_FILENO, output + sent, output_count - sent);
        if (step <= 0) {
            exit(EXIT_SUCCESS); /* nobody reads any more */
        }
        sent += (size_t)step;
    }
    output_count = 0;
}

static void take_output(avr_irq_t *irq, uint32_t value, void *data)
{
    (void)irq;
    (void)data;
    output[output_count++] = (uint8_t)value;
    if (output_count == sizeof output) {
        flush_output();
    }
}

static void open_gate(avr_irq_t *irq, uint32_t value, void *data)
{
    (void)irq;
    (void)value;
    (void)data;
    line_ready = 1;
}

static void close_gate(avr_irq_t *irq, uint32_t value, void *data)
{
    (void)irq;
    (void)value;
    (void)data;
    line_ready = 0;
}

/* Hand over what has come, as far as the chip takes it. Returns 0 at the end of the input. */
static int feed(void)
{
    static uint8_t input[INPUT_BYTES];
    static size_t input_count;
    static size_t input_next;
    flush_output();
    if (input_next == input_count) {
        struct pollfd waiting = {STDIN_FILENO, POLLIN, 0};
        if (poll(&waiting, 1, 0) > 0) {
            const ssize_t received = read(STDIN_FILENO, input, sizeof input);
            if (received <= 0) {
                return 0;
            }
            input_next = 0;
            input_count = (size_t)received;
        }
    }
    while (line_ready && input_next < input_count) {
        avr_raise_irq(line_input, input[input_next++]);
    }
    return 1;
}

static void connect_line(avr_t *avr)
{
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(uint32_t)(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POOL_SLEEP);
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    line_input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT),
                            take_output, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON),
                            open_gate, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF),
                            close_gate, NULL);
}

/* ---- settings ---- */

static uint32_t parse_number(const char *text, char **end)
{
    const uint32_t number = (uint32_t)strtoul(text, end, 0);
    if (*end == text) {
        fail("not a number", text);
    }
    return number;
}

static void add_skip(const char *text)
{
    char *end;
    if (settings.skips == RANGES) {
        fail("too many skip ranges", text);
    }
    settings.skip[settings.skips][0] = parse_number(text, &end);
    if (*end != '-') {
        fail("skip is not FROM-TO", text);
    }
    settings.skip[settings.skips++][1] = parse_number(end + 1, &end);
}

static void parse_setting(const char *text)
{
    char *end;
    const char *value = strchr(text, '=');
    if (value == NULL) {
        fail("no value", text);
    }
    value++;
    if (strncmp(text, "image=", 6) == 0) {
        settings.image = value;
    } else if (strncmp(text, "mcu=", 4) == 0) {
        settings.mcu = value;
    } else if (strncmp(text, "clock=", 6) == 0) {
        settings.clock_hz = parse_number(value, &end);
    } else if (strncmp(text, "out=", 4) == 0) {
        settings.out = value;
    } else if (strncmp(text, "run=", 4) == 0) {
        settings.run = parse_number(value, &end);
    } else if (strncmp(text, "mark=", 5) == 0) {
        settings.mark = parse_number(value, &end);
    } else if (strncmp(text, "layers=", 7) == 0) {
        settings.layers = parse_number(value, &end);
    } else if (strncmp(text, "skip=", 5) == 0) {
        add_skip(value);
    } else if (strncmp(text, "flash=", 6) == 0) {
        settings.costs = 1;
    } else {
        fail("unknown setting", text);
    }
}

static void load_image(avr_t *avr)
{
    FILE *file = fopen(settings.image, "rb");
    if (file == NULL) {
        fail("cannot read", settings.image);
    }
    const size_t count = fread(avr->flash, 1, avr->flashend + 1, file);
    if (count == 0 || fgetc(file) != EOF) {
        fail("is empty or larger than the flash", settings.image);
    }
    fclose(file);
    avr->codeend = (avr_flashaddr_t)count;
}

static avr_t *start_chip(void)
{
    avr_t *avr = avr_make_mcu_by_name(settings.mcu);
    if (avr == NULL) {
        fail("simavr does not know the chip", settings.mcu);
    }
    avr_init(avr);
    avr->log = LOG_ERROR;
    avr->frequency = settings.clock_hz;
    load_image(avr);
    connect_line(avr);
    executions = allocate(avr->flashend / 2 + 1, sizeof *executions);
    skipped = allocate(avr->flashend / 2 + 1, 1);
    flash_words = avr->flashend / 2 + 1;
    if (settings.costs) {
        costs = allocate((settings.layers + 1) * flash_words, sizeof *costs);
    }
    for (size_t i = 0; i < settings.skips; i++) {
        for (uint32_t at = settings.skip[i][0]; at < settings.skip[i][1]; at += 2) {
            skipped[at / 2] = 1;
        }
    }
    return avr;
}

int main(int argc, char **argv)
{
    int state = cpu_Running;
    for (int i = 1; i < argc; i++) {
        parse_setting(argv[i]);
    }
    if (settings.image == NULL || settings.mcu == NULL || settings.clock_hz == 0) {
        fail("missing setting", "image, mcu, clock");
    }
    signal(SIGTERM, end);
    avr_t *avr = start_chip();
    layer_counts = allocate(settings.layers + 1, sizeof *layer_counts);
    next_mark = settings.layers + 1;
    avr->run_cycle_limit = 1; /* return after each instruction */
    while (!ended && state != cpu_Done && state != cpu_Crashed && feed()) {
        for (int i = 0; i < POLL_INSTRUCTIONS && state == cpu_Running; i++) {
            count(avr, avr->pc);
            state = avr_run(avr);
        }
        if (state == cpu_Sleeping) {
            state = avr_run(avr);
        }
    }
    flush_output();
    if (settings.out != NULL) {
        write_counts(avr->flashend / 2 + 1);
    }
    return state == cpu_Crashed ? EXIT_FAILURE : EXIT_SUCCESS;
}
