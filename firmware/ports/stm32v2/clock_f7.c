/* STM32F7: 16 MHz HSI / 8 * N / 2, up to 216 MHz with over-drive; both peripheral buses at a quarter.
 * Source: RM0385 and RM0410, chapters 3 (FLASH_ACR), 4 (PWR) and 5 (RCC). */
#include "chip.h"

#if defined(TQ_STM32_F7)

/* The PLL's oscillator runs at 100 to 432 MHz. Twin: tinyq/hardware/clock_rules.py. */
#if TQ_CLOCK_HZ < 50000000 || TQ_CLOCK_HZ > 216000000 || TQ_CLOCK_HZ % 1000000 != 0
#error "TQ_CLOCK_HZ: the port reaches 50 to 216 MHz in steps of 1 MHz"
#endif

#define PWR_CR1 TQ_REGISTER(0x40007000u)
#define PWR_CSR1 TQ_REGISTER(0x40007004u)
#define FLASH_ACR TQ_REGISTER(0x40023C00u)
#define RCC_CR TQ_REGISTER(0x40023800u)
#define RCC_PLLCFGR TQ_REGISTER(0x40023804u)
#define RCC_CFGR TQ_REGISTER(0x40023808u)

#define APB1ENR_PWR (1u << 28)
#define CR1_ODEN (1u << 16)
#define CR1_ODSWEN (1u << 17)
#define CSR1_ODRDY (1u << 16)
#define CSR1_ODSWRDY (1u << 17)
#define CR_HSION (1u << 0)
#define CR_HSIRDY (1u << 1)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define CFGR_SW_MASK 3u
#define CFGR_SW_PLL 2u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PRESCALERS (0x3Fu << 10 | 0xFu << 4)
#define CFGR_BOTH_BUSES_4 (5u << 10 | 5u << 13)
#define PLLCFGR_KEEP 0xF0000000u /* PLLR, on some members */
#define ACR_PREFETCH_AND_ART (3u << 8)
#define WAIT_STATES ((TQ_CLOCK_HZ - 1u) / 30000000u)
#define HSI_HZ 16000000u
#define USB_HZ 48000000u

/* The regulator delivers what 216 MHz takes: over-drive, then switch to it. */
static uint32_t start_overdrive(void)
{
    TQ_APB1_ENABLE |= APB1ENR_PWR;
    (void)TQ_APB1_ENABLE;
    PWR_CR1 |= CR1_ODEN;
    if (tq_stm32_wait(&PWR_CSR1, CSR1_ODRDY, CSR1_ODRDY) == 0u) {
        return 0u;
    }
    PWR_CR1 |= CR1_ODSWEN;
    return tq_stm32_wait(&PWR_CSR1, CSR1_ODSWRDY, CSR1_ODSWRDY);
}

static uint32_t start_pll(void)
{
    const uint32_t q = (2u * TQ_CLOCK_HZ + USB_HZ - 1u) / USB_HZ;
    RCC_PLLCFGR = (RCC_PLLCFGR & PLLCFGR_KEEP) | q << 24 | (TQ_CLOCK_HZ / 1000000u) << 6 | 8u;
    RCC_CR |= CR_PLLON;
    return tq_stm32_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY);
}

tq_stm32_clock tq_stm32_start_clock(void)
{
    const tq_stm32_clock slow = {HSI_HZ, HSI_HZ};
    const tq_stm32_clock fast = {TQ_CLOCK_HZ, TQ_CLOCK_HZ / 4u};
    RCC_CR |= CR_HSION;
    (void)tq_stm32_wait(&RCC_CR, CR_HSIRDY, CR_HSIRDY);
    RCC_CFGR &= ~(CFGR_SW_MASK | CFGR_PRESCALERS);
    (void)tq_stm32_wait(&RCC_CFGR, CFGR_SWS_MASK, 0u);
    RCC_CR &= ~CR_PLLON;
    (void)tq_stm32_wait(&RCC_CR, CR_PLLRDY, 0u);
    if (start_pll() == 0u || start_overdrive() == 0u) {
        return slow;
    }
    FLASH_ACR = ACR_PREFETCH_AND_ART | WAIT_STATES;
    (void)FLASH_ACR;
    RCC_CFGR |= CFGR_BOTH_BUSES_4;
    RCC_CFGR |= CFGR_SW_PLL;
    if (tq_stm32_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL) == 0u) {
        RCC_CFGR &= ~(CFGR_SW_MASK | CFGR_PRESCALERS);
        return slow;
    }
    return fast;
}

#endif
