/* Which taps of a sliding window lie inside the image. Twin: tinyq/graph/ops/window.py */
#ifndef TQ_WINDOW_H
#define TQ_WINDOW_H

#include <stdint.h>

/* Taps first .. end - 1 along one axis. */
typedef struct {
    int32_t first;
    int32_t end;
} tq_taps;

/* Taps i of 0 .. size - 1 with 0 <= origin + i * dilation < length; first == end if there is none.
 *
 * origin   image index under tap 0, negative in the padding
 */
static inline tq_taps tq_taps_inside(int32_t origin, int32_t size, int32_t dilation, int32_t length)
{
    tq_taps taps = {0, size};
    while (taps.first < size && origin + taps.first * dilation < 0) {
        taps.first++;
    }
    while (taps.end > taps.first && origin + (taps.end - 1) * dilation >= length) {
        taps.end--;
    }
    return taps;
}

#endif
