/* Runs an AVR firmware in simavr: USART 0 is on standard input and output, and executed instructions
 * are counted per address and per layer.
 *
 * Called as tq_simavr image=FILE mcu=NAME clock=HZ [out=FILE run=ADDRESS mark=ADDRESS layers=N
 *                     skip=FROM-TO ... flash=FROM-TO]
 *
 *   image   the flash from address 0, a raw binary
 *   others  see tq_layers.h; addresses are in bytes. The file of the counts has the lines of
 *           tq_count.c; its lines `cost` say nothing of loads and stores, which are instructions
 *           of their own here
 *
 * A reset of the chip starts it anew with the flash that it was given. The program ends with standard
 * input or by SIGTERM.
 *
 * Source: simavr 1.6, sim_avr.h and avr_uart.h.
 */
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <simavr/sim_avr.h>

#include <simavr/avr_uart.h>

#define PROGRAM "tq_simavr"
#include "tq_layers.h"

enum { INPUT_BYTES = 4096, POLL_INSTRUCTIONS = 512 };

static struct {
    const char *image;
    const char *mcu;
    uint32_t clock_hz;
} chip;

typedef struct {
    uint64_t executions;
    uint64_t taken;
} cost;

static uint64_t *executions; /* [flash words] */
static uint8_t *skipped;     /* [flash words] */
static cost *costs;          /* [layers][flash words], of the first complete inference */
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

/* ---- counting ---- */

/* Whether an instruction has two words: LDS, STS, JMP, CALL. */
static int is_long(uint16_t word)
{
    return (word & 0xfc0fu) == 0x9000u || (word & 0xfe0cu) == 0x940cu;
}

static void add_cost(const avr_t *avr, uint32_t address)
{
    if (in_layer()) {
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
    write_layers(file);
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

/* A word about the chip, or one for the counter. */
static void parse_word(const char *word)
{
    char *end;
    const char *value;
    if ((value = find_value(word, "image")) != NULL) {
        chip.image = value;
    } else if ((value = find_value(word, "mcu")) != NULL) {
        chip.mcu = value;
    } else if ((value = find_value(word, "clock")) != NULL) {
        chip.clock_hz = (uint32_t)parse_number(value, &end);
    } else {
        parse_setting(word);
    }
}

static void load_image(avr_t *avr)
{
    FILE *file = fopen(chip.image, "rb");
    if (file == NULL) {
        fail("cannot read", chip.image);
    }
    const size_t count = fread(avr->flash, 1, avr->flashend + 1, file);
    if (count == 0 || fgetc(file) != EOF) {
        fail("is empty or larger than the flash", chip.image);
    }
    fclose(file);
    avr->codeend = (avr_flashaddr_t)count;
}

static avr_t *start_chip(void)
{
    avr_t *avr = avr_make_mcu_by_name(chip.mcu);
    if (avr == NULL) {
        fail("simavr does not know the chip", chip.mcu);
    }
    avr_init(avr);
    avr->log = LOG_ERROR;
    avr->frequency = chip.clock_hz;
    load_image(avr);
    connect_line(avr);
    executions = allocate(avr->flashend / 2 + 1, sizeof *executions);
    skipped = allocate(avr->flashend / 2 + 1, 1);
    flash_words = avr->flashend / 2 + 1;
    if (wants_costs()) {
        costs = allocate((settings.layers + 1) * flash_words, sizeof *costs);
    }
    for (size_t i = 0; i < flash_words; i++) {
        skipped[i] = (uint8_t)is_skipped(2 * i);
    }
    return avr;
}

int main(int argc, char **argv)
{
    int state = cpu_Running;
    for (int i = 1; i < argc; i++) {
        parse_word(argv[i]);
    }
    if (chip.image == NULL || chip.mcu == NULL || chip.clock_hz == 0) {
        fail("missing setting", "image, mcu, clock");
    }
    signal(SIGTERM, end);
    avr_t *avr = start_chip();
    prepare_layers();
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
