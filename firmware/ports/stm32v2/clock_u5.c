/* STM32U5 without TrustZone (option TZEN 0, as delivered): 4 MHz MSIS * 80 / 2 = 160 MHz, voltage
 * range 1 with its booster; the buses run as fast as the core.
 * Source: RM0456, chapters 7 (FLASH), 8 (ICACHE), 10 (PWR) and 11 (RCC). */
#include "chip.h"

#if defined(TQ_STM32_U5)

/* Twin: tinyq/hardware/clock_rules.py. */
#if TQ_CLOCK_HZ != 160000000
#error "TQ_CLOCK_HZ: the port reaches 160 MHz"
#endif

#define ICACHE_CR TQ_REGISTER(0x40030400u)
#define FLASH_ACR TQ_REGISTER(0x40022000u)
#define PWR_VOSR TQ_REGISTER(0x4602080Cu)
#define RCC_CR TQ_REGISTER(0x46020C00u)
#define RCC_CFGR1 TQ_REGISTER(0x46020C1Cu)
#define RCC_PLL1CFGR TQ_REGISTER(0x46020C28u)
#define RCC_PLL1DIVR TQ_REGISTER(0x46020C34u)
#define RCC_AHB3ENR TQ_REGISTER(0x46020C94u)

#define AHB3ENR_PWR (1u << 2)
#define VOSR_RANGE_1 (3u << 16)
#define VOSR_VOSRDY (1u << 15)
#define VOSR_BOOSTEN (1u << 18)
#define VOSR_BOOSTRDY (1u << 14)
#define ACR_PREFETCH_4_WAITS (1u << 8 | 4u)
#define PLL1CFGR_MSIS_R (1u << 18 | 2u << 2 | 1u) /* output R, input 4 .. 8 MHz, from MSIS */
#define PLL1DIVR_N_80_R_2 (79u | 1u << 9 | 1u << 16 | 1u << 24)
#define CR_PLL1ON (1u << 24)
#define CR_PLL1RDY (1u << 25)
#define CFGR1_SW_MASK 3u
#define CFGR1_SW_PLL1 3u
#define CFGR1_SWS_MASK (3u << 2)
#define CFGR1_SWS_PLL1 (3u << 2)
#define MSIS_HZ 4000000u

static uint32_t set_power(void)
{
    RCC_AHB3ENR |= AHB3ENR_PWR;
    (void)RCC_AHB3ENR;
    PWR_VOSR |= VOSR_RANGE_1;
    return tq_stm32_wait(&PWR_VOSR, VOSR_VOSRDY, VOSR_VOSRDY);
}

/* The booster takes its clock from the PLL's source, which must be chosen before. */
static uint32_t start_pll(void)
{
    RCC_PLL1CFGR = PLL1CFGR_MSIS_R;
    PWR_VOSR |= VOSR_BOOSTEN;
    if (tq_stm32_wait(&PWR_VOSR, VOSR_BOOSTRDY, VOSR_BOOSTRDY) == 0u) {
        return 0u;
    }
    RCC_PLL1DIVR = PLL1DIVR_N_80_R_2;
    RCC_CR |= CR_PLL1ON;
    return tq_stm32_wait(&RCC_CR, CR_PLL1RDY, CR_PLL1RDY);
}

tq_stm32_clock tq_stm32_start_clock(void)
{
    const tq_stm32_clock slow = {MSIS_HZ, MSIS_HZ};
    const tq_stm32_clock fast = {TQ_CLOCK_HZ, TQ_CLOCK_HZ};
    RCC_CFGR1 &= ~CFGR1_SW_MASK;
    (void)tq_stm32_wait(&RCC_CFGR1, CFGR1_SWS_MASK, 0u);
    RCC_CR &= ~CR_PLL1ON;
    (void)tq_stm32_wait(&RCC_CR, CR_PLL1RDY, 0u);
    if (set_power() == 0u || start_pll() == 0u) {
        return slow;
    }
    FLASH_ACR = ACR_PREFETCH_4_WAITS;
    (void)FLASH_ACR;
    ICACHE_CR |= 1u;
    RCC_CFGR1 |= CFGR1_SW_PLL1;
    return tq_stm32_wait(&RCC_CFGR1, CFGR1_SWS_MASK, CFGR1_SWS_PLL1) != 0u ? fast : slow;
}

#endif
