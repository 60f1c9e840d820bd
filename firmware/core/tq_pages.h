/* Pages: the constants of one layer at a time in RAM.
 *
 * On a core that cannot read its flash with the same instructions as its RAM (AVR), a constant of C
 * lies in RAM. There the linker gives the constants of all layers the same addresses, and each
 * layer's are copied from flash before it runs. So the RAM need not hold all weights, only the most
 * of one layer. The copy takes some 10 cycles for a byte and counts as part of the layer. */
#ifndef TQ_PAGES_H
#define TQ_PAGES_H

#include <stdint.h>

typedef struct {
    uint32_t flash_address;
    uint16_t bytes;
} tq_page;

/* Copy the constants of a layer to where its code looks for them.
 *
 * layer  0 .. layers, where nothing belongs to the last */
void tq_page_load(int32_t layer);

#endif
