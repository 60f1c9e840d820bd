/* Where the families of this port differ: addresses, and how the clock is started.
 *
 * Every clock comes from an internal oscillator (within 1 % at room temperature, which a serial line
 * bears), so that a board's crystal does not matter. */
#ifndef TQ_STM32_CHIP_H
#define TQ_STM32_CHIP_H

#include "tq_build.h"
#include "tq_core.h"

/* Polls before a ready bit is given up: a poll takes at least 5 cycles of the clock after reset (4 to
 * 64 MHz), so these are at least 5 ms; a PLL locks and a regulator settles within 1 ms. */
#define TQ_READY_POLLS 65536u

typedef struct {
    uint32_t core_hz;
    uint32_t bus_hz; /* of both peripheral buses */
} tq_stm32_clock;

/* Reach TQ_CLOCK_HZ, or tell the clock that the chip has instead. */
tq_stm32_clock tq_stm32_start_clock(void);

/* 1 when (register & mask) == value before the polls end, else 0. */
uint32_t tq_stm32_wait(volatile uint32_t *reg, uint32_t mask, uint32_t value);

#if defined(TQ_STM32_F0)
#define TQ_GPIO 0x48000000u
#define TQ_GPIO_ENABLE TQ_REGISTER(0x40021014u)
#define TQ_GPIO_ENABLE_BIT 17u
#define TQ_APB1_ENABLE TQ_REGISTER(0x4002101Cu)
#define TQ_APB2_ENABLE TQ_REGISTER(0x40021018u)
#define TQ_USART1 0x40013800u
#define TQ_USART1_ENABLE (1u << 14)
#elif defined(TQ_STM32_F7)
#define TQ_GPIO 0x40020000u
#define TQ_GPIO_ENABLE TQ_REGISTER(0x40023830u)
#define TQ_GPIO_ENABLE_BIT 0u
#define TQ_APB1_ENABLE TQ_REGISTER(0x40023840u)
#define TQ_APB2_ENABLE TQ_REGISTER(0x40023844u)
#define TQ_USART1 0x40011000u
#define TQ_USART1_ENABLE (1u << 4)
#elif defined(TQ_STM32_G4) || defined(TQ_STM32_L4)
#define TQ_GPIO 0x48000000u
#define TQ_GPIO_ENABLE TQ_REGISTER(0x4002104Cu)
#define TQ_GPIO_ENABLE_BIT 0u
#define TQ_APB1_ENABLE TQ_REGISTER(0x40021058u)
#define TQ_APB2_ENABLE TQ_REGISTER(0x40021060u)
#define TQ_LPUART1_ENABLE_REGISTER TQ_REGISTER(0x4002105Cu)
#define TQ_USART1 0x40013800u
#define TQ_USART1_ENABLE (1u << 14)
#elif defined(TQ_STM32_H7)
#define TQ_GPIO 0x58020000u
#define TQ_GPIO_ENABLE TQ_REGISTER(0x580244E0u)
#define TQ_GPIO_ENABLE_BIT 0u
#define TQ_APB1_ENABLE TQ_REGISTER(0x580244E8u)
#define TQ_APB2_ENABLE TQ_REGISTER(0x580244F0u)
#define TQ_USART1 0x40011000u
#define TQ_USART1_ENABLE (1u << 4)
#elif defined(TQ_STM32_U5)
#define TQ_GPIO 0x42020000u
#define TQ_GPIO_ENABLE TQ_REGISTER(0x46020C8Cu)
#define TQ_GPIO_ENABLE_BIT 0u
#define TQ_APB1_ENABLE TQ_REGISTER(0x46020C9Cu)
#define TQ_APB2_ENABLE TQ_REGISTER(0x46020CA4u)
#define TQ_USART1 0x40013800u
#define TQ_USART1_ENABLE (1u << 14)
#elif defined(TQ_STM32_WB)
#define TQ_GPIO 0x48000000u
#define TQ_GPIO_ENABLE TQ_REGISTER(0x5800004Cu)
#define TQ_GPIO_ENABLE_BIT 0u
#define TQ_APB1_ENABLE TQ_REGISTER(0x58000058u)
#define TQ_APB2_ENABLE TQ_REGISTER(0x58000060u)
#define TQ_USART1 0x40013800u
#define TQ_USART1_ENABLE (1u << 14)
#else
#error "define TQ_STM32_F0, F7, G4, H7, L4, U5 or WB"
#endif

#define TQ_USART2 0x40004400u
#define TQ_USART3 0x40004800u
#define TQ_LPUART1 0x40008000u

#endif
