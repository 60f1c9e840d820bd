/* STM32G4, L4, L4+ and WB: 16 MHz HSI / M * N / 2. The buses run as fast as the core.
 *
 *   chip      TQ_CLOCK_HZ   M   N    wait states
 *   L4        80 MHz        2   20   4
 *   L4+       120 MHz       4   60   5             voltage range 1, boost
 *   G4        170 MHz       4   85   4             voltage range 1, boost
 *   WB        64 MHz        2   16   3             the second core at half of that
 *
 * From the board: TQ_PLL_M, TQ_PLL_N, TQ_WAIT_STATES; TQ_BOOST 1 to leave the regulator's normal mode;
 * TQ_IO2 1 where pins of port G need their supply declared valid (L4).
 *
 * Source: RM0440 (G4), RM0351 (L4), RM0432 (L4+), RM0434 (WB), chapters on FLASH, PWR and RCC. */
#include "chip.h"

#if defined(TQ_STM32_G4) || defined(TQ_STM32_L4) || defined(TQ_STM32_WB)

/* Voltage ranges and wait states by clock, see the tables of the manuals. The L4+ alone is faster
 * than 80 MHz; below, its flash bears more than that of the L4. Twin: tinyq/hardware/clock_rules.py. */
#if defined(TQ_STM32_G4)
#define FASTEST_HZ 170000000
#define FASTEST_WITHOUT_BOOST_HZ 150000000
#define HZ_PER_WAIT_STATE (TQ_CLOCK_HZ > 150000000 ? 34000000 : 30000000)
#elif defined(TQ_STM32_L4)
#define FASTEST_HZ 120000000
#define FASTEST_WITHOUT_BOOST_HZ 80000000
#define HZ_PER_WAIT_STATE (TQ_CLOCK_HZ > 80000000 ? 20000000 : 16000000)
#else
#define FASTEST_HZ 64000000
#define FASTEST_WITHOUT_BOOST_HZ FASTEST_HZ
#define HZ_PER_WAIT_STATE 18000000
#endif
#if TQ_CLOCK_HZ < 8000000 || TQ_CLOCK_HZ > FASTEST_HZ
#error "TQ_CLOCK_HZ: the chip does not reach this clock"
#elif TQ_CLOCK_HZ > FASTEST_WITHOUT_BOOST_HZ && TQ_BOOST != 1
#error "TQ_BOOST: the regulator needs its boost mode for this clock"
#elif TQ_WAIT_STATES < (TQ_CLOCK_HZ - 1) / HZ_PER_WAIT_STATE || TQ_WAIT_STATES > 15
#error "TQ_WAIT_STATES: the flash needs one for each 16 (L4), 18 (WB), 20 (L4+), 30 or 34 MHz (G4)"
#elif TQ_CLOCK_HZ / 1000000 * TQ_PLL_M != 8 * TQ_PLL_N || TQ_CLOCK_HZ % 1000000 != 0
#error "TQ_PLL_M, TQ_PLL_N: 16 MHz / M * N / 2 is not TQ_CLOCK_HZ"
#endif

#if defined(TQ_STM32_WB)
#define RCC 0x58000000u
#define FLASH_ACR TQ_REGISTER(0x58004000u)
#define PLLCFGR_R_2 (1u << 28 | 1u << 29) /* output enabled, divider 2 */
#define RCC_EXTCFGR TQ_REGISTER(RCC + 0x108u)
#define EXTCFGR_C2HPRE_2 (8u << 4)
#else
#define RCC 0x40021000u
#define FLASH_ACR TQ_REGISTER(0x40022000u)
#define PLLCFGR_R_2 (1u << 24)
#define PWR_CR2 TQ_REGISTER(0x40007004u)
#define PWR_CR5 TQ_REGISTER(0x40007080u)
#define APB1ENR_PWR (1u << 28)
#define CR2_IOSV (1u << 9)
#define CR5_R1MODE (1u << 8) /* 1: normal, 0: boost */
#endif

#define RCC_CR TQ_REGISTER(RCC + 0x00u)
#define RCC_CFGR TQ_REGISTER(RCC + 0x08u)
#define RCC_PLLCFGR TQ_REGISTER(RCC + 0x0Cu)
#define CR_HSION (1u << 8)
#define CR_HSIRDY (1u << 10)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define CFGR_SW_MASK 3u
#define CFGR_SW_HSI 1u
#define CFGR_SW_PLL 3u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_HSI (1u << 2)
#define CFGR_SWS_PLL (3u << 2)
#define CFGR_HPRE_MASK (0xFu << 4)
#define CFGR_HPRE_2 (8u << 4)
#define PLLCFGR_SOURCE_HSI 2u
#define ACR_LATENCY_MASK 0xFu
#define ACR_PREFETCH_AND_CACHES (7u << 8)
#define HSI_HZ 16000000u

static void set_power(void)
{
#if !defined(TQ_STM32_WB)
    TQ_APB1_ENABLE |= APB1ENR_PWR;
    (void)TQ_APB1_ENABLE;
    if (TQ_BOOST != 0) {
        PWR_CR5 &= ~CR5_R1MODE;
    }
    if (TQ_IO2 != 0) {
        PWR_CR2 |= CR2_IOSV;
    }
#endif
}

static uint32_t select_hsi(void)
{
    RCC_CR |= CR_HSION;
    if (tq_stm32_wait(&RCC_CR, CR_HSIRDY, CR_HSIRDY) == 0u) {
        return 0u;
    }
    RCC_CFGR = (RCC_CFGR & ~(CFGR_SW_MASK | CFGR_HPRE_MASK)) | CFGR_SW_HSI;
    return tq_stm32_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_HSI);
}

static uint32_t start_pll(void)
{
    RCC_CR &= ~CR_PLLON;
    (void)tq_stm32_wait(&RCC_CR, CR_PLLRDY, 0u);
    RCC_PLLCFGR =
        PLLCFGR_R_2 | (uint32_t)TQ_PLL_N << 8 | (uint32_t)(TQ_PLL_M - 1) << 4 | PLLCFGR_SOURCE_HSI;
    RCC_CR |= CR_PLLON;
    return tq_stm32_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY);
}

tq_stm32_clock tq_stm32_start_clock(void)
{
    const tq_stm32_clock slow = {HSI_HZ, HSI_HZ};
    const tq_stm32_clock fast = {TQ_CLOCK_HZ, TQ_CLOCK_HZ};
    set_power();
    /* Before the core becomes faster; 16 MHz are within what these bear on every chip. */
    FLASH_ACR = (FLASH_ACR & ~ACR_LATENCY_MASK) | ACR_PREFETCH_AND_CACHES | TQ_WAIT_STATES;
    (void)tq_stm32_wait(&FLASH_ACR, ACR_LATENCY_MASK, TQ_WAIT_STATES);
    if (select_hsi() == 0u || start_pll() == 0u) {
        return slow;
    }
#if defined(TQ_STM32_WB)
    RCC_EXTCFGR |= EXTCFGR_C2HPRE_2;
#endif
    /* Above 80 MHz the clock rises in two steps, 1 us apart. */
    RCC_CFGR |= TQ_BOOST != 0 ? CFGR_HPRE_2 : 0u;
    RCC_CFGR |= CFGR_SW_PLL;
    if (tq_stm32_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL) == 0u) {
        (void)select_hsi();
        return slow;
    }
    for (volatile uint32_t i = 0u; i < 100u; i++) {
    }
    RCC_CFGR &= ~CFGR_HPRE_MASK;
    return fast;
}

#endif
