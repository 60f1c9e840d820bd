/* STM32H742, H743: 64 MHz HSI / 16 * 200 / 2 = 400 MHz, bus matrix 200 MHz, peripherals 100 MHz, with
 * the regulator (LDO) at scale 1. Source: RM0433, chapters 4 (FLASH), 6 (PWR) and 8 (RCC). */
#include "chip.h"

#if defined(TQ_STM32_H7)

/* Twin: tinyq/hardware/clock_rules.py. */
#if TQ_CLOCK_HZ != 400000000
#error "TQ_CLOCK_HZ: the port reaches 400 MHz"
#endif

#define PWR_CSR1 TQ_REGISTER(0x58024804u)
#define PWR_CR3 TQ_REGISTER(0x5802480Cu)
#define PWR_D3CR TQ_REGISTER(0x58024818u)
#define FLASH_ACR TQ_REGISTER(0x52002000u)
#define RCC_CR TQ_REGISTER(0x58024400u)
#define RCC_CFGR TQ_REGISTER(0x58024410u)
#define RCC_D1CFGR TQ_REGISTER(0x58024418u)
#define RCC_D2CFGR TQ_REGISTER(0x5802441Cu)
#define RCC_D3CFGR TQ_REGISTER(0x58024420u)
#define RCC_PLLCKSELR TQ_REGISTER(0x58024428u)
#define RCC_PLLCFGR TQ_REGISTER(0x5802442Cu)
#define RCC_PLL1DIVR TQ_REGISTER(0x58024430u)

#define CSR1_ACTVOSRDY (1u << 13)
#define CR3_LDOEN (1u << 1)
#define CR3_BYPASS (1u << 0)
#define D3CR_VOS_MASK (3u << 14)
#define D3CR_VOS_1 (3u << 14)
#define D3CR_VOSRDY (1u << 13)
#define ACR_2_WAITS (2u | 2u << 4) /* latency and programming delay for 200 MHz at scale 1 */
#define CR_PLL1ON (1u << 24)
#define CR_PLL1RDY (1u << 25)
#define CFGR_SW_MASK 7u
#define CFGR_SW_PLL1 3u
#define CFGR_SWS_MASK (7u << 3)
#define CFGR_SWS_PLL1 (3u << 3)
#define D1CFGR_HPRE_2_PPRE_2 (8u | 4u << 4)
#define D2CFGR_BOTH_2 (4u << 4 | 4u << 8)
#define D3CFGR_2 (4u << 4)
#define PLLCKSELR_HSI_16 (16u << 4)
#define PLLCFGR_MASK 0x0007000Fu
#define PLLCFGR_P_INPUT_4_TO_8_MHZ (1u << 16 | 2u << 2)
#define PLL1DIVR_N_200_P_2 (199u | 1u << 9 | 1u << 16 | 1u << 24)
#define HSI_HZ 64000000u

#define DBGMCU_IDCODE TQ_REGISTER(0x5C001000u)
#define IDCODE_REVISION_V 0x20000000u
#define AXI_TARG7_FN_MOD TQ_REGISTER(0x51008108u)
#define FN_MOD_ONE_READ 1u

/* Revisions before V corrupt reads of the AXI SRAM while another is under way: one at a time.
 * Source: ES0392, 2.2.9. */
static void guard_reads(void)
{
    if ((DBGMCU_IDCODE & 0xFFFF0000u) < IDCODE_REVISION_V) {
        AXI_TARG7_FN_MOD = FN_MOD_ONE_READ;
    }
}

/* The supply must be chosen once before the voltage can be changed. */
static uint32_t set_power(void)
{
    PWR_CR3 = (PWR_CR3 & ~CR3_BYPASS) | CR3_LDOEN;
    if (tq_stm32_wait(&PWR_CSR1, CSR1_ACTVOSRDY, CSR1_ACTVOSRDY) == 0u) {
        return 0u;
    }
    PWR_D3CR = (PWR_D3CR & ~D3CR_VOS_MASK) | D3CR_VOS_1;
    return tq_stm32_wait(&PWR_D3CR, D3CR_VOSRDY, D3CR_VOSRDY);
}

static uint32_t start_pll(void)
{
    RCC_CR &= ~CR_PLL1ON;
    (void)tq_stm32_wait(&RCC_CR, CR_PLL1RDY, 0u);
    RCC_PLLCKSELR = (RCC_PLLCKSELR & ~(0x3Fu << 4 | 3u)) | PLLCKSELR_HSI_16;
    RCC_PLLCFGR = (RCC_PLLCFGR & ~PLLCFGR_MASK) | PLLCFGR_P_INPUT_4_TO_8_MHZ;
    RCC_PLL1DIVR = PLL1DIVR_N_200_P_2;
    RCC_CR |= CR_PLL1ON;
    return tq_stm32_wait(&RCC_CR, CR_PLL1RDY, CR_PLL1RDY);
}

tq_stm32_clock tq_stm32_start_clock(void)
{
    const tq_stm32_clock slow = {HSI_HZ, HSI_HZ};
    const tq_stm32_clock fast = {TQ_CLOCK_HZ, TQ_CLOCK_HZ / 4u};
    const tq_stm32_clock divided = {HSI_HZ, HSI_HZ / 4u};
    guard_reads();
    RCC_CFGR &= ~CFGR_SW_MASK;
    (void)tq_stm32_wait(&RCC_CFGR, CFGR_SWS_MASK, 0u);
    if (set_power() == 0u || start_pll() == 0u) {
        return slow;
    }
    FLASH_ACR = ACR_2_WAITS;
    (void)tq_stm32_wait(&FLASH_ACR, 0xFu, ACR_2_WAITS & 0xFu);
    RCC_D1CFGR = D1CFGR_HPRE_2_PPRE_2;
    RCC_D2CFGR = D2CFGR_BOTH_2;
    RCC_D3CFGR = D3CFGR_2;
    RCC_CFGR |= CFGR_SW_PLL1;
    return tq_stm32_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL1) != 0u ? fast : divided;
}

#endif
