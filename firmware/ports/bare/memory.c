/* The four functions that GCC may call in code without a C library (GCC manual, "Standards").
 *
 * Word steps where both addresses allow them. The build forbids GCC to turn these loops into calls
 * of themselves (-fno-tree-loop-distribute-patterns). */
#include <stddef.h>
#include <stdint.h>

typedef uint32_t __attribute__((may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);

/* First to last byte, so the regions may overlap when the target lies lower. */
static void copy_upwards(uint8_t *target, const uint8_t *source, size_t count)
{
    if ((((uintptr_t)target | (uintptr_t)source) & 3u) == 0u) {
        for (; count >= 4u; count -= 4u) {
            *(word *)(void *)target = *(const word *)(const void *)source;
            target += 4;
            source += 4;
        }
    }
    for (; count > 0u; count--) {
        *target++ = *source++;
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    copy_upwards(to, from, count);
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    if ((uintptr_t)to <= (uintptr_t)from) {
        copy_upwards(to, from, count);
        return to;
    }
    uint8_t *target = to;
    const uint8_t *source = from;
    while (count > 0u) {
        count--;
        target[count] = source[count];
    }
    return to;
}

void *memset(void *to, int value, size_t count)
{
    uint8_t *target = to;
    const uint32_t byte = (uint8_t)value;
    for (; count > 0u && ((uintptr_t)target & 3u) != 0u; count--) {
        *target++ = (uint8_t)byte;
    }
    for (; count >= 4u; count -= 4u) {
        *(word *)(void *)target = byte * 0x01010101u;
        target += 4;
    }
    for (; count > 0u; count--) {
        *target++ = (uint8_t)byte;
    }
    return to;
}

int memcmp(const void *left, const void *right, size_t count)
{
    const uint8_t *a = left;
    const uint8_t *b = right;
    for (; count > 0u; count--, a++, b++) {
        if (*a != *b) {
            return *a < *b ? -1 : 1;
        }
    }
    return 0;
}
