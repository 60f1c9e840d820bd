#include "tq_profile.h"

#include "tq_model.h"
#include "tq_port.h"

static uint32_t *mark_stamps;
static int32_t mark_count;

TQ_NOINLINE void tq_profile_mark(int32_t layer)
{
    if (layer < mark_count) {
        mark_stamps[layer] = tq_port_cycles();
    }
}

TQ_NOINLINE void tq_profile_run(const void *input, void *output)
{
    tq_model_instance.run(input, output);
}

void tq_profile_begin(uint32_t *stamps, int32_t count)
{
    mark_stamps = stamps;
    mark_count = count;
}

void tq_profile_end(void)
{
    mark_count = 0;
}

uint32_t tq_profile_mark_cycles(void)
{
    uint32_t stamps[4];
    tq_profile_begin(stamps, 4);
    for (int32_t i = 0; i < 4; i++) {
        stamps[i] = 0;
    }
    /* The first pair fills caches and flash buffers, the last pair is the answer. */
    tq_profile_mark(0);
    tq_profile_mark(1);
    tq_profile_mark(2);
    tq_profile_mark(3);
    tq_profile_end();
    return stamps[3] - stamps[2];
}
