/* STM32F0: 8 MHz HSI / 2 * 12 = 48 MHz. Source: RM0091, chapters 3 (FLASH_ACR) and 6 (RCC). */
#include "chip.h"

#if defined(TQ_STM32_F0)

/* Twin: tinyq/hardware/clock_rules.py. */
#if TQ_CLOCK_HZ < 8000000 || TQ_CLOCK_HZ > 48000000 || TQ_CLOCK_HZ % 4000000 != 0
#error "TQ_CLOCK_HZ: the port reaches 8 to 48 MHz in steps of 4 MHz"
#endif

#define FLASH_ACR TQ_REGISTER(0x40022000u)
#define RCC_CR TQ_REGISTER(0x40021000u)
#define RCC_CFGR TQ_REGISTER(0x40021004u)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define CFGR_SW_MASK 3u
#define CFGR_SW_PLL 2u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PLL_MASK (0xFu << 18 | 3u << 15)
#define ACR_PREFETCH_1_WAIT 0x11u
#define HSI_HZ 8000000u

tq_stm32_clock tq_stm32_start_clock(void)
{
    const tq_stm32_clock slow = {HSI_HZ, HSI_HZ};
    const tq_stm32_clock fast = {TQ_CLOCK_HZ, TQ_CLOCK_HZ};
    RCC_CFGR &= ~CFGR_SW_MASK;
    (void)tq_stm32_wait(&RCC_CFGR, CFGR_SWS_MASK, 0u);
    RCC_CR &= ~CR_PLLON;
    (void)tq_stm32_wait(&RCC_CR, CR_PLLRDY, 0u);
    RCC_CFGR = (RCC_CFGR & ~CFGR_PLL_MASK) | (TQ_CLOCK_HZ / (HSI_HZ / 2u) - 2u) << 18;
    RCC_CR |= CR_PLLON;
    if (tq_stm32_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY) == 0u) {
        return slow;
    }
    FLASH_ACR = ACR_PREFETCH_1_WAIT;
    (void)FLASH_ACR;
    RCC_CFGR |= CFGR_SW_PLL;
    return tq_stm32_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL) != 0u ? fast : slow;
}

#endif
