/* The arithmetic of the runtime as functions of a library, for tests/property/test_arithmetic.py. */
#include "tq_arith.h"
#include "tq_twice.h"

int64_t requantize(int32_t acc, int32_t bias, int32_t multiplier, int32_t shift);
int64_t requantize_even(int32_t acc, int32_t bias, int32_t multiplier, int32_t shift, int32_t even);
int64_t requantize_wide(int64_t acc, int32_t multiplier, int32_t low, int32_t shift);
int32_t compare(int32_t acc, int32_t threshold, int32_t flip);
int32_t count_steps(int32_t acc, const int32_t *threshold, int32_t steps, int32_t flip);
int32_t divide_half_up(int32_t total, int32_t count);
int32_t multiply_high(int32_t a, int32_t b);
int32_t divide_by_power(int32_t x, int32_t bits);
int32_t scale_twice(int32_t x, int32_t multiplier, int32_t exponent);
int32_t divide_away(int32_t total, int32_t count);
int32_t popcount(uint32_t word);
int32_t logarithm(int32_t raw);
int32_t reciprocal_of_one_plus(int32_t raw);
int32_t interpolate16(const int16_t *table, int32_t x);

int64_t requantize(int32_t acc, int32_t bias, int32_t multiplier, int32_t shift)
{
    return tq_requantize(acc, bias, multiplier, shift);
}

int64_t requantize_even(int32_t acc, int32_t bias, int32_t multiplier, int32_t shift, int32_t even)
{
    return tq_requantize_even(acc, bias, multiplier, shift, even);
}

int64_t requantize_wide(int64_t acc, int32_t multiplier, int32_t low, int32_t shift)
{
    return tq_requantize_wide(acc, multiplier, low, shift);
}

int32_t compare(int32_t acc, int32_t threshold, int32_t flip)
{
    return tq_threshold(acc, threshold, flip);
}

int32_t count_steps(int32_t acc, const int32_t *threshold, int32_t steps, int32_t flip)
{
    return tq_count_steps(acc, threshold, 1, steps, flip);
}

int32_t divide_half_up(int32_t total, int32_t count)
{
    return tq_divide_half_up(total, count);
}

int32_t multiply_high(int32_t a, int32_t b)
{
    return tq_multiply_high(a, b);
}

int32_t divide_by_power(int32_t x, int32_t bits)
{
    return tq_divide_by_power(x, bits);
}

int32_t scale_twice(int32_t x, int32_t multiplier, int32_t exponent)
{
    return tq_scale_twice(x, multiplier, exponent);
}

int32_t divide_away(int32_t total, int32_t count)
{
    return tq_divide_away(total, count);
}

int32_t popcount(uint32_t word)
{
    return tq_popcount32(word);
}

int32_t logarithm(int32_t raw)
{
    return tq_logarithm(raw);
}

int32_t reciprocal_of_one_plus(int32_t raw)
{
    return tq_reciprocal_of_one_plus(raw);
}

int32_t interpolate16(const int16_t *table, int32_t x)
{
    return tq_interpolate16(table, x);
}
