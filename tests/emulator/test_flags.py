"""Specialized kernels under the flags of foreign builds: instrumented, position-independent, …

What a build adds to every function must stay out of functions without a frame. Each core's kernels
are built with all that instruments at once; ``TINYQ_FLAGS=all`` takes every flag alone and every
kernel.
"""

from __future__ import annotations

import os
from pathlib import PurePath

import numpy as np
import pytest

from tests.cores import CORES
from tests.emulator.test_fast_kernels import SPECIAL, make_cases
from tests.many_graphs import ask_device

ALL = os.environ.get("TINYQ_FLAGS") == "all"
KERNELS = 999 if ALL else 6  # of each core
INSTRUMENTING = ("-fstack-protector-all", "-finstrument-functions", "--coverage")
TRAPS = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
SINGLE = (
    *((flag,) for flag in INSTRUMENTING),
    *(("-pg",), ("-fpic",), ("-Og",), ("-O0",), ("-O3",), ("-flto",), TRAPS),
)
FLAGS = (INSTRUMENTING, *SINGLE) if ALL else (INSTRUMENTING,)
# What the flags call. The functions change the registers that a callee may change.
_HOOKS = """
#include <stdint.h>

#define PLAIN __attribute__((no_instrument_function, noinline))
#if defined(__has_attribute)
#if __has_attribute(no_stack_protector)
#define HOOK PLAIN __attribute__((no_stack_protector))
#endif
#endif
#ifndef HOOK
#define HOOK PLAIN
#endif

extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard = 0x12345678u;
void __stack_chk_fail(void);
void __cyg_profile_func_enter(void *function, void *caller);
void __cyg_profile_func_exit(void *function, void *caller);
void __gnu_mcount_nc(void);
void __gcov_init(void *unit);
void __gcov_exit(void);
void __gcov_merge_add(void *counters, unsigned count);

HOOK void __stack_chk_fail(void)
{
    for (;;) {
    }
}

HOOK void __cyg_profile_func_enter(void *function, void *caller)
{
    (void)function;
    (void)caller;
    __asm__ volatile("movs r0, #1\\n mov r1, r0\\n mov r2, r0\\n mov r3, r0\\n mov r12, r0"
                     :
                     :
                     : "r0", "r1", "r2", "r3", "r12", "cc");
}

HOOK void __cyg_profile_func_exit(void *function, void *caller)
{
    __cyg_profile_func_enter(function, caller);
}

/* Called with the caller's return address on the stack. */
__attribute__((naked, no_instrument_function)) void __gnu_mcount_nc(void)
{
    __asm__ volatile("push {r0}\\n ldr r0, [sp, #4]\\n mov r12, lr\\n mov lr, r0\\n"
                     " pop {r0}\\n add sp, #4\\n bx r12");
}

void __gcov_init(void *unit)
{
    (void)unit;
}

void __gcov_exit(void)
{
}

void __gcov_merge_add(void *counters, unsigned count)
{
    (void)counters;
    (void)count;
}
"""


@pytest.mark.parametrize("flags", FLAGS, ids="".join)
@pytest.mark.parametrize("isa", CORES)
def test_instrumented_kernels_answer_as_the_reference(isa, flags, seed, tmp_path):
    kernels = [kernel for kernel in SPECIAL if kernel.isa == isa]
    places = np.random.default_rng((seed, 9)).permutation(len(kernels))[:KERNELS]
    named = [(kernels[place], make_cases(kernels[place], place, seed, 1)) for place in places]
    cases = [case for _, drawn in named for case in drawn]
    owners = [kernel.name for kernel, drawn in named for _ in drawn]
    extra = {PurePath("hooks.c"): _HOOKS}
    replies = ask_device(cases, CORES[isa], tmp_path / "out", flags, extra)
    wrong = [
        owner
        for owner, case, got in zip(owners, cases, replies, strict=True)
        if not np.array_equal(got, case.answers)
    ]
    assert not wrong, "\n".join(wrong)
