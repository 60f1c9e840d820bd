/* What the counters of all emulators share: how they are called, and what lies between two marks.
 *
 * Settings are words NAME=VALUE:
 *
 *   out     file of the counts
 *   run     address of tq_profile_run: an inference starts
 *   mark    address of tq_profile_mark: mark i = 0 .. layers of that inference, in order
 *   layers  marks of one inference minus one
 *   skip    addresses FROM <= a < TO that belong to the marks themselves and to no layer
 *   flash   addresses FROM <= a < TO of the code memory; asks for the costs of single instructions
 *
 * The file that includes this one defines PROGRAM, its name for messages. */
#ifndef TQ_LAYERS_H
#define TQ_LAYERS_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t from;
    uint64_t to;
} address_range;

typedef struct {
    uint64_t current; /* of the inference under way */
    uint64_t sum;
    uint64_t min;
    uint64_t max;
} layer_count;

enum { RANGES = 16 };

static struct {
    const char *out;
    uint64_t run;
    uint64_t mark;
    size_t layers;
    address_range skip[RANGES];
    size_t skips;
    address_range flash; /* empty: no costs */
} settings;

static uint64_t counted;          /* executed instructions outside the skipped addresses */
static layer_count *layer_counts; /* [layers] */
static uint64_t complete_runs;
static size_t next_mark; /* 0 .. layers; layers + 1 while no inference is under way */
static uint64_t counted_at_mark;

static void fail(const char *problem, const char *text)
{
    fprintf(stderr, PROGRAM ": %s: %s\n", problem, text);
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

/* ---- settings ---- */

static uint64_t parse_number(const char *text, char **end)
{
    const uint64_t number = strtoull(text, end, 0);
    if (*end == text) {
        fail("not a number", text);
    }
    return number;
}

static address_range parse_range(const char *text)
{
    char *end;
    address_range range;
    range.from = parse_number(text, &end);
    if (*end != '-') {
        fail("not FROM-TO", text);
    }
    range.to = parse_number(end + 1, &end);
    return range;
}

static void add_skip(const char *text)
{
    if (settings.skips == RANGES) {
        fail("too many skip ranges", text);
    }
    settings.skip[settings.skips++] = parse_range(text);
}

/* The value in a word of this name, NULL in any other. */
static const char *find_value(const char *word, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static void parse_setting(const char *word)
{
    char *end;
    const char *value;
    if ((value = find_value(word, "out")) != NULL) {
        settings.out = strdup(value);
    } else if ((value = find_value(word, "run")) != NULL) {
        settings.run = parse_number(value, &end);
    } else if ((value = find_value(word, "mark")) != NULL) {
        settings.mark = parse_number(value, &end);
    } else if ((value = find_value(word, "layers")) != NULL) {
        settings.layers = (size_t)parse_number(value, &end);
    } else if ((value = find_value(word, "skip")) != NULL) {
        add_skip(value);
    } else if ((value = find_value(word, "flash")) != NULL) {
        settings.flash = parse_range(value);
    } else {
        fail("unknown setting", word);
    }
}

static int wants_costs(void)
{
    return settings.flash.to > settings.flash.from;
}

static int lies_in(const address_range *range, uint64_t address)
{
    return address >= range->from && address < range->to;
}

static int is_skipped(uint64_t address)
{
    for (size_t i = 0; i < settings.skips; i++) {
        if (lies_in(&settings.skip[i], address)) {
            return 1;
        }
    }
    return 0;
}

/* ---- layers ---- */

static void prepare_layers(void)
{
    layer_counts = allocate(settings.layers + 1, sizeof *layer_counts);
    next_mark = settings.layers + 1;
}

/* Whether a layer of the inference whose costs are asked for is under way: layer next_mark - 1. */
static int in_layer(void)
{
    return complete_runs == 0 && next_mark > 0 && next_mark <= settings.layers;
}

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

static void write_layers(FILE *file)
{
    fprintf(file, "runs,%" PRIu64 "\n", complete_runs);
    for (size_t i = 0; i < settings.layers; i++) {
        const layer_count *layer = &layer_counts[i];
        fprintf(file, "layer,%zu,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", i, layer->sum, layer->min,
                layer->max);
    }
}

#endif
