/* What functions in assembly ask of the compiler, and of the core.
 *
 * A naked function has no frame: what a build adds to all functions (canaries, calls of a profiler,
 * counters, checks of a sanitizer) would use the caller's. TQ_NAKED forbids each of them by name.
 */
#if !defined(TQ_ASSEMBLY_H)
#define TQ_ASSEMBLY_H

#if defined(__has_attribute)
#define TQ_HAS_ATTRIBUTE(name) __has_attribute(name)
#else
#define TQ_HAS_ATTRIBUTE(name) 0
#endif

#if TQ_HAS_ATTRIBUTE(no_stack_protector)
#define TQ_NO_CANARY __attribute__((no_stack_protector))
#elif defined(__GNUC__) && !defined(__clang__) /* GCC before 11 */
#define TQ_NO_CANARY __attribute__((optimize("no-stack-protector")))
#else
#define TQ_NO_CANARY
#endif

#if TQ_HAS_ATTRIBUTE(no_profile_instrument_function)
#define TQ_NO_COUNTERS __attribute__((no_profile_instrument_function))
#else
#define TQ_NO_COUNTERS
#endif

#if TQ_HAS_ATTRIBUTE(no_sanitize)
#define TQ_NO_CHECKS __attribute__((no_sanitize("address", "thread", "undefined")))
#else
#define TQ_NO_CHECKS
#endif

#define TQ_NAKED                                                                                   \
    __attribute__((naked, noinline, no_instrument_function))                                       \
    TQ_NO_CANARY TQ_NO_COUNTERS TQ_NO_CHECKS

#endif

/* A model with functions in assembly says what they need. Not guarded: each model asks anew. */
#if defined(TQ_NEEDS_ARMV6M) && !defined(__thumb__)
#error "made for Cortex-M0 and M0+: compile it for one of these, or make it for your core"
#endif
#if defined(TQ_NEEDS_ARMV7M) && !defined(__thumb2__)
#error "made for Cortex-M3: compile it for this core, or make it for yours"
#endif
#if (defined(TQ_NEEDS_ARMV7EM) || defined(TQ_NEEDS_ARMV8M)) &&                                     \
    !(defined(__thumb2__) && defined(__ARM_FEATURE_DSP))
#error "made for Cortex-M4, M7 and M33: compile it for one of these, or make it for your core"
#endif
#if defined(TQ_NEEDS_MVE) && !defined(__ARM_FEATURE_MVE)
#error "made for Cortex-M55 and M85 with -mfloat-abi=hard: compile it so, or make it for your core"
#endif
