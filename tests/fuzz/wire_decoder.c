/* Feed standard input to the decoder and print what it finds: a frame in hexadecimal, or "damaged".
 *
 * usage: wire_decoder CAPACITY < line
 *
 * The buffer has exactly CAPACITY bytes of heap, so that the address sanitizer sees the first byte that is
 * written past it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

int main(int argc, char **argv)
{
    const int32_t capacity = argc > 1 ? (int32_t)atoi(argv[1]) : 64;
    uint8_t *bytes = malloc((size_t)capacity);
    tq_wire_decoder decoder;
    int byte;
    if (bytes == NULL) {
        return EXIT_FAILURE;
    }
    tq_wire_decoder_start(&decoder, bytes, capacity);
    while ((byte = getchar()) != EOF) {
        const int32_t event = tq_wire_accept(&decoder, (uint8_t)byte);
        if (event == TQ_WIRE_FRAME) {
            for (int32_t i = 0; i < decoder.length; i++) {
                printf("%02x", bytes[i]);
            }
            printf("\n");
        } else if (event == TQ_WIRE_DAMAGED) {
            printf("damaged\n");
        }
    }
    free(bytes);
    return EXIT_SUCCESS;
}
