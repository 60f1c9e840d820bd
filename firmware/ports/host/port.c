/* Port of a process on the host: raw bytes on standard input and output. POSIX. */
#define _POSIX_C_SOURCE 200809L

#include "tq_port.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* A read sleeps until bytes come, at most this long, so that the polling main loop leaves the core
 * free. */
#define POLL_MS 20

static uint8_t received[4096];
static size_t received_count;
static size_t received_next;

void tq_port_init(void)
{
}

static void refill(void)
{
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, POLL_MS) <= 0) {
        return;
    }
    const ssize_t count = read(STDIN_FILENO, received, sizeof received);
    if (count == 0) {
        exit(EXIT_SUCCESS); /* the other end has closed */
    }
    if (count < 0) {
        if (errno == EINTR || errno == EAGAIN) {
            return;
        }
        exit(EXIT_FAILURE);
    }
    received_next = 0;
    received_count = (size_t)count;
}

int32_t tq_port_read(void)
{
    if (received_next == received_count) {
        received_next = 0;
        received_count = 0;
        refill();
    }
    return received_next < received_count ? (int32_t)received[received_next++] : -1;
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    while (count > 0) {
        const ssize_t sent = write(STDOUT_FILENO, bytes, (size_t)count);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            exit(EXIT_FAILURE);
        }
        bytes += sent;
        count -= (int32_t)sent;
    }
}

uint32_t tq_port_cycles(void)
{
    return 0;
}

uint32_t tq_port_clock_hz(void)
{
    return 0;
}

void tq_port_stack_paint(void)
{
}

int32_t tq_port_stack_used(void)
{
    return 0;
}

void tq_port_reset(void)
{
    exit(EXIT_SUCCESS);
}
