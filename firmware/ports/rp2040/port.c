/* Port of the RP2040: crystal, system PLL, UART 0.
 *
 * From the board (tq_build.h):
 *
 *   TQ_CLOCK_HZ    125 MHz: the crystal of 12 MHz * 125 / 12; any whole number from 63 to 133 MHz
 *   TQ_BAUD        line rate
 *   TQ_TX, TQ_RX   pins of UART 0: 0 and 1, 12 and 13, 16 and 17
 *
 * Source: RP2040 Datasheet, 2.14 (resets), 2.15 (clocks), 2.16 (crystal), 2.18 (PLL), 2.19 (pins),
 * 4.2 (UART), 4.7 (watchdog). */
#include "tq_build.h"
#include "tq_core.h"
#include "tq_port.h"

/* The PLL's oscillator runs at 750 to 1,600 MHz, the core at up to 133.
 * Twin: tinyq/hardware/clock_rules.py. */
#if TQ_CLOCK_HZ < 63000000 || TQ_CLOCK_HZ > 133000000 || TQ_CLOCK_HZ % 1000000 != 0
#error "TQ_CLOCK_HZ: the port reaches 63 to 133 MHz in steps of 1 MHz"
#endif

#define CLEAR_BITS 0x3000u /* alias of each register that clears the bits written as 1 */
#define SET_BITS 0x2000u

#define RESETS 0x4000C000u
#define RESETS_RESET_SET TQ_REGISTER(RESETS + SET_BITS)
#define RESETS_RESET_CLEAR TQ_REGISTER(RESETS + CLEAR_BITS)
#define RESETS_DONE TQ_REGISTER(RESETS + 0x08u)
#define RESET_PINS (1u << 5 | 1u << 8)
#define RESET_PLL (1u << 12)
#define RESET_UART0 (1u << 22)

#define CLOCKS_REF_CTRL TQ_REGISTER(0x40008030u)
#define CLOCKS_REF_SELECTED TQ_REGISTER(0x40008038u)
#define CLOCKS_SYS_CTRL TQ_REGISTER(0x4000803Cu)
#define CLOCKS_SYS_SELECTED TQ_REGISTER(0x40008044u)
#define CLOCKS_PERI_CTRL TQ_REGISTER(0x40008048u)
#define REF_FROM_CRYSTAL 2u
#define SYS_FROM_REF 0u
#define SYS_FROM_PLL 1u
#define PERI_ENABLE_FROM_SYS (1u << 11)

#define XOSC_CTRL TQ_REGISTER(0x40024000u)
#define XOSC_STATUS TQ_REGISTER(0x40024004u)
#define XOSC_STARTUP TQ_REGISTER(0x4002400Cu)
#define XOSC_ENABLE_1_TO_15_MHZ (0xFABu << 12 | 0xAA0u)
#define XOSC_STABLE (1u << 31)
#define XOSC_1_MS 47u /* in 256 periods of the crystal */

#define PLL 0x40028000u
#define PLL_CS TQ_REGISTER(PLL + 0x0u)
#define PLL_PWR_CLEAR TQ_REGISTER(PLL + CLEAR_BITS + 0x4u)
#define PLL_FBDIV TQ_REGISTER(PLL + 0x8u)
#define PLL_PRIM TQ_REGISTER(PLL + 0xCu)
#define PLL_LOCK (1u << 31)
#define PWR_CORE_AND_VCO (1u << 0 | 1u << 5)
#define PWR_DIVIDERS (1u << 3)
#define PRIM_6_2 (6u << 16 | 2u << 12)

#define PIN_CTRL(pin) TQ_REGISTER(0x40014004u + 8u * (pin))
#define PAD(pin) TQ_REGISTER(0x4001C004u + 4u * (pin))
#define PIN_UART 2u
#define PAD_INPUT_PULLED_UP (1u << 6 | 1u << 3 | 1u << 1)

#define UART 0x40034000u
#define UART_DR TQ_REGISTER(UART + 0x00u)
#define UART_FR TQ_REGISTER(UART + 0x18u)
#define UART_IBRD TQ_REGISTER(UART + 0x24u)
#define UART_FBRD TQ_REGISTER(UART + 0x28u)
#define UART_LCR TQ_REGISTER(UART + 0x2Cu)
#define UART_CR TQ_REGISTER(UART + 0x30u)
#define FR_BUSY (1u << 3)
#define FR_RX_EMPTY (1u << 4)
#define FR_TX_FULL (1u << 5)
#define LCR_8_BITS_FIFO (3u << 5 | 1u << 4)
#define CR_ENABLE (1u << 9 | 1u << 8 | 1u << 0)

#define PSM_WDSEL TQ_REGISTER(0x40010008u)
#define PSM_ALL_BUT_OSCILLATORS 0x0001FFFCu
#define WATCHDOG_CTRL TQ_REGISTER(0x40058000u)
#define WATCHDOG_TRIGGER (1u << 31)

#define CRYSTAL_HZ 12000000u
#define RING_HZ 6500000u /* the ring oscillator after reset, nominal */

/* At least 50 ms at 6.5 MHz; a crystal takes 1 ms, the PLL 0.1 ms. */
#define READY_POLLS 65536u

static uint32_t core_hz;

static uint32_t wait_for(volatile uint32_t *reg, uint32_t mask)
{
    for (uint32_t polls = READY_POLLS; polls > 0u; polls--) {
        if ((*reg & mask) == mask) {
            return 1u;
        }
    }
    return 0u;
}

static uint32_t start_crystal(void)
{
    XOSC_STARTUP = XOSC_1_MS;
    XOSC_CTRL = XOSC_ENABLE_1_TO_15_MHZ;
    if (wait_for(&XOSC_STATUS, XOSC_STABLE) == 0u) {
        return 0u;
    }
    CLOCKS_REF_CTRL = REF_FROM_CRYSTAL;
    return wait_for(&CLOCKS_REF_SELECTED, 1u << REF_FROM_CRYSTAL);
}

/* 12 MHz * 125 = 1.5 GHz, / 6 / 2 = 125 MHz. */
static uint32_t start_pll(void)
{
    RESETS_RESET_SET = RESET_PLL;
    RESETS_RESET_CLEAR = RESET_PLL;
    if (wait_for(&RESETS_DONE, RESET_PLL) == 0u) {
        return 0u;
    }
    PLL_CS = 1u;
    PLL_FBDIV = TQ_CLOCK_HZ * 12u / CRYSTAL_HZ;
    PLL_PWR_CLEAR = PWR_CORE_AND_VCO;
    if (wait_for(&PLL_CS, PLL_LOCK) == 0u) {
        return 0u;
    }
    PLL_PRIM = PRIM_6_2;
    PLL_PWR_CLEAR = PWR_DIVIDERS;
    CLOCKS_SYS_CTRL = SYS_FROM_PLL; /* its other source is the PLL when the field is 0 */
    return wait_for(&CLOCKS_SYS_SELECTED, 1u << SYS_FROM_PLL);
}

static void start_clock(void)
{
    CLOCKS_SYS_CTRL = SYS_FROM_REF;
    (void)wait_for(&CLOCKS_SYS_SELECTED, 1u << SYS_FROM_REF);
    core_hz = RING_HZ;
    if (start_crystal() != 0u) {
        core_hz = start_pll() != 0u ? TQ_CLOCK_HZ : CRYSTAL_HZ;
    }
    CLOCKS_PERI_CTRL = PERI_ENABLE_FROM_SYS;
}

/* The divider counts in 1/64: 64 * clock / (16 * baud), rounded. */
static void start_uart(void)
{
    const uint32_t divider = (8u * core_hz / TQ_BAUD + 1u) / 2u;
    RESETS_RESET_CLEAR = RESET_PINS | RESET_UART0;
    (void)wait_for(&RESETS_DONE, RESET_PINS | RESET_UART0);
    UART_IBRD = divider / 64u;
    UART_FBRD = divider % 64u;
    UART_LCR = LCR_8_BITS_FIFO;
    UART_CR = CR_ENABLE;
    PAD(TQ_RX) = PAD_INPUT_PULLED_UP;
    PIN_CTRL(TQ_TX) = PIN_UART;
    PIN_CTRL(TQ_RX) = PIN_UART;
}

void tq_port_init(void)
{
    start_clock();
    start_uart();
    tq_core_start_cycles();
}

/* Polling loses nothing: see stm32v1/port.c. */
int32_t tq_port_read(void)
{
    return (UART_FR & FR_RX_EMPTY) == 0u ? (int32_t)(UART_DR & 0xFFu) : -1;
}

void tq_port_write(const uint8_t *bytes, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        while ((UART_FR & FR_TX_FULL) != 0u) {
        }
        UART_DR = bytes[i];
    }
}

uint32_t tq_port_clock_hz(void)
{
    return core_hz;
}

void tq_port_reset(void)
{
    while ((UART_FR & FR_BUSY) != 0u) {
    }
    tq_core_restart();
}

/* SYSRESETREQ would reset the core alone; this resets all but the oscillators. */
void tq_core_restart(void)
{
    PSM_WDSEL = PSM_ALL_BUT_OSCILLATORS;
    WATCHDOG_CTRL = WATCHDOG_TRIGGER;
    for (;;) {
    }
}
