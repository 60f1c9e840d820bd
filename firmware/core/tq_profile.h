/* Layer marks. Compile the generated model with "-include tq_profile.h" and each TQ_MARK becomes a
 * call that costs a compare while no profile is taken. Without it TQ_MARK is empty.
 */
#ifndef TQ_PROFILE_H
#define TQ_PROFILE_H

#include <stdint.h>

#if defined(__GNUC__)
#define TQ_NOINLINE __attribute__((noinline))
#else
#define TQ_NOINLINE
#endif

#if defined(__AVR__) && !defined(ARDUINO) /* whose linker script knows no pages */
#include "tq_pages.h"
#define TQ_CONSTANT(layer) __attribute__((section(".tq_page_" #layer)))
#define TQ_MARK(layer) (tq_profile_mark(layer), tq_page_load(layer))
#else
#define TQ_MARK(layer) tq_profile_mark(layer)
#if defined(TQ_CONSTANTS_IN_RAM) /* copied before main, as all data: RAM has no wait states */
#define TQ_CONSTANT(layer) __attribute__((section(".tq_constants")))
#endif
#endif

/* Note that a layer starts; the mark after the last layer ends the run.
 *
 * layer  0 .. layers; marks past the space given to tq_profile_begin are ignored
 *
 * An emulator that counts instructions watches the address of tq_profile_mark.
 */
void tq_profile_mark(int32_t layer);

/* Run the model once, so that the address of this function tells where an inference starts.
 *
 * input   [input_bytes]   4-byte aligned
 * output  [output_bytes]  4-byte aligned
 */
void tq_profile_run(const void *input, void *output);

/* Record the cycle counter at each mark until tq_profile_end.
 *
 * stamps  [count]  stamps[i] = cycle counter at mark i, modulo 2^32
 */
void tq_profile_begin(uint32_t *stamps, int32_t count);

void tq_profile_end(void);

/* Cycles between two marks with nothing between them. */
uint32_t tq_profile_mark_cycles(void);

#endif
