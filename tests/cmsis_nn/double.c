#include "arm_nnfunctions.h"

/* value * multiplier * 2^(shift - 31), rounded once or twice, halves upwards or as TFLite does. */
static int32_t scale(int32_t value, int32_t multiplier, int32_t shift)
{
#if defined(CMSIS_NN_USE_SINGLE_ROUNDING)
    const int64_t product = (int64_t)value * multiplier;
    return (int32_t)((product + ((int64_t)1 << (30 - shift))) >> (31 - shift));
#else
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    const int64_t product = (int64_t)(int32_t)((uint32_t)value << left) * multiplier;
    const int32_t high = (int32_t)((product + ((int64_t)1 << 30)) >> 31);
    const int32_t rest = high & (int32_t)((1u << right) - 1u);
    const int32_t half = (int32_t)((1u << right) >> 1) - (right > 0 && high >= 0 ? 1 : 0);
    return (high >> right) + (right > 0 && rest > half ? 1 : 0);
#endif
}

static int8_t clip(int32_t value, const cmsis_nn_activation *range)
{
    const int32_t low = value < range->min ? range->min : value;
    return (int8_t)(low > range->max ? range->max : low);
}

/* What the caller has reserved is the double's to spoil. */
static void spoil(const cmsis_nn_context *context, int32_t bytes)
{
    uint8_t *scratch = context->buf;
    for (int32_t i = 0; i < bytes; i++) {
        scratch[i] = 0x5a;
    }
}

static int32_t weight(const int8_t *data, int32_t index, int32_t bits)
{
    if (bits == 8) {
        return data[index];
    }
    const uint32_t pair = (uint8_t)data[index / 2];
    const int32_t code = (int32_t)(index % 2 == 0 ? pair & 15u : pair >> 4);
    return code < 8 ? code : code - 16;
}

typedef struct {
    int32_t input_offset;
    int32_t output_offset;
    cmsis_nn_tile stride;
    cmsis_nn_tile padding;
    cmsis_nn_tile dilation;
    cmsis_nn_activation activation;
    int32_t per_input; /* outputs of one input channel, 0 for all of all */
    int32_t bits;
} layer;

/* Sum over the taps of output (row, column, channel) that lie inside the image. */
static int32_t accumulate(const layer *how, const cmsis_nn_dims *in, const int8_t *x,
                          const cmsis_nn_dims *kernel, const int8_t *w, const int32_t at[3],
                          int32_t channels)
{
    const int32_t first = how->per_input > 0 ? at[2] / how->per_input : 0;
    const int32_t count = how->per_input > 0 ? 1 : in->c;
    int32_t acc = 0;
    for (int32_t i = 0; i < kernel->h; i++) {
        for (int32_t j = 0; j < kernel->w; j++) {
            const int32_t row = at[0] * how->stride.h - how->padding.h + i * how->dilation.h;
            const int32_t column = at[1] * how->stride.w - how->padding.w + j * how->dilation.w;
            if (row < 0 || row >= in->h || column < 0 || column >= in->w) {
                continue;
            }
            for (int32_t k = 0; k < count; k++) {
                const int32_t code = x[(row * in->w + column) * in->c + first + k];
                const int32_t index = how->per_input > 0
                                          ? (i * kernel->w + j) * channels + at[2]
                                          : ((at[2] * kernel->h + i) * kernel->w + j) * in->c + k;
                acc += weight(w, index, how->bits) * (code + how->input_offset);
            }
        }
    }
    return acc;
}

static void convolve(const layer *how, const cmsis_nn_per_channel_quant_params *quantization,
                     const cmsis_nn_dims *in, const int8_t *x, const cmsis_nn_dims *kernel,
                     const int8_t *w, const int32_t *bias, const cmsis_nn_dims *out, int8_t *y)
{
    for (int32_t index = 0; index < out->h * out->w * out->c; index++) {
        const int32_t o = index % out->c;
        const int32_t at[3] = {index / out->c / out->w, index / out->c % out->w, o};
        const int32_t acc = accumulate(how, in, x, kernel, w, at, out->c) + bias[o];
        const int32_t code = scale(acc, quantization->multiplier[o], quantization->shift[o]);
        y[index] = clip(code + how->output_offset, &how->activation);
    }
}

static layer read_conv(const cmsis_nn_conv_params *p, int32_t bits)
{
    const layer how = {p->input_offset, p->output_offset, p->stride, p->padding,
                       p->dilation,     p->activation,    0,         bits};
    return how;
}

static layer read_depthwise(const cmsis_nn_dw_conv_params *p, int32_t bits)
{
    const layer how = {p->input_offset, p->output_offset, p->stride,  p->padding,
                       p->dilation,     p->activation,    p->ch_mult, bits};
    return how;
}

#define DEFINE_CONVOLVE(name, params, read, bits, bytes)                                           \
    CONVOLVE(name, params)                                                                         \
    {                                                                                              \
        const layer how = read(conv_params, bits);                                                 \
        (void)bias_dims;                                                                           \
        spoil(ctx, bytes);                                                                         \
        convolve(&how, quant_params, input_dims, input_data, filter_dims, filter_data, bias_data,  \
                 output_dims, output_data);                                                        \
        return ARM_CMSIS_NN_SUCCESS;                                                               \
    }

#define PATCHES (4 * filter_dims->h * filter_dims->w * input_dims->c)
#define ROWS (2 * filter_dims->h * filter_dims->w * input_dims->c)

DEFINE_CONVOLVE(arm_convolve_wrapper_s8, cmsis_nn_conv_params, read_conv, 8, PATCHES)
DEFINE_CONVOLVE(arm_convolve_wrapper_s4, cmsis_nn_conv_params, read_conv, 4, PATCHES)
DEFINE_CONVOLVE(arm_depthwise_conv_wrapper_s8, cmsis_nn_dw_conv_params, read_depthwise, 8, ROWS)
DEFINE_CONVOLVE(arm_depthwise_conv_wrapper_s4, cmsis_nn_dw_conv_params, read_depthwise, 4, ROWS)

/* One row of a dense layer after the other; step is 1 for a multiplier per channel, 0 for one. */
static void connect(const cmsis_nn_fc_params *how, const int32_t *multiplier, const int32_t *shift,
                    int32_t step, int32_t bits, const cmsis_nn_dims *in, const int8_t *input,
                    const cmsis_nn_dims *filter, const int8_t *w, const int32_t *bias,
                    const cmsis_nn_dims *out, int8_t *y)
{
    for (int32_t index = 0; index < in->n * out->c; index++) {
        const int32_t o = index % out->c;
        const int8_t *x = input + index / out->c * filter->n;
        int32_t acc = bias[o];
        for (int32_t k = 0; k < filter->n; k++) {
            acc += weight(w, o * filter->n + k, bits) * (x[k] + how->input_offset);
        }
        acc = scale(acc, multiplier[o * step], shift[o * step]);
        y[index] = clip(acc + how->output_offset, &how->activation);
    }
}

arm_cmsis_nn_status
arm_fully_connected_wrapper_s8(const cmsis_nn_context *ctx, const cmsis_nn_fc_params *fc_params,
                               const cmsis_nn_quant_params *quant_params,
                               const cmsis_nn_dims *input_dims, const int8_t *input_data,
                               const cmsis_nn_dims *filter_dims, const int8_t *filter_data,
                               const cmsis_nn_dims *bias_dims, const int32_t *bias_data,
                               const cmsis_nn_dims *output_dims, int8_t *output_data)
{
    (void)ctx;
    (void)bias_dims;
    connect(fc_params, quant_params->multiplier, quant_params->shift, quant_params->is_per_channel,
            8, input_dims, input_data, filter_dims, filter_data, bias_data, output_dims,
            output_data);
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status
arm_fully_connected_s4(const cmsis_nn_context *ctx, const cmsis_nn_fc_params *fc_params,
                       const cmsis_nn_per_tensor_quant_params *quant_params,
                       const cmsis_nn_dims *input_dims, const int8_t *input_data,
                       const cmsis_nn_dims *filter_dims, const int8_t *filter_data,
                       const cmsis_nn_dims *bias_dims, const int32_t *bias_data,
                       const cmsis_nn_dims *output_dims, int8_t *output_data)
{
    (void)ctx;
    (void)bias_dims;
    connect(fc_params, &quant_params->multiplier, &quant_params->shift, 0, 4, input_dims,
            input_data, filter_dims, filter_data, bias_data, output_dims, output_data);
    return ARM_CMSIS_NN_SUCCESS;
}

/* Largest code, or the mean with halves away from 0, of the taps inside the image. */
static void pool(int32_t mean, const cmsis_nn_pool_params *how, const cmsis_nn_dims *in,
                 const int8_t *x, const cmsis_nn_dims *kernel, const cmsis_nn_dims *out, int8_t *y)
{
    for (int32_t index = 0; index < out->h * out->w * out->c; index++) {
        const int32_t top = index / out->c / out->w * how->stride.h - how->padding.h;
        const int32_t left = index / out->c % out->w * how->stride.w - how->padding.w;
        int32_t best = -128;
        int32_t sum = 0;
        int32_t count = 0;
        for (int32_t tap = 0; tap < kernel->h * kernel->w; tap++) {
            const int32_t row = top + tap / kernel->w;
            const int32_t column = left + tap % kernel->w;
            if (row >= 0 && row < in->h && column >= 0 && column < in->w) {
                const int32_t code = x[(row * in->w + column) * in->c + index % out->c];
                best = code > best ? code : best;
                sum += code;
                count++;
            }
        }
        sum += sum >= 0 ? count / 2 : -(count / 2);
        y[index] = clip(mean != 0 ? sum / count : best, &how->activation);
    }
}

arm_cmsis_nn_status arm_max_pool_s8(const cmsis_nn_context *ctx,
                                    const cmsis_nn_pool_params *pool_params,
                                    const cmsis_nn_dims *input_dims, const int8_t *input_data,
                                    const cmsis_nn_dims *filter_dims,
                                    const cmsis_nn_dims *output_dims, int8_t *output_data)
{
    (void)ctx;
    pool(0, pool_params, input_dims, input_data, filter_dims, output_dims, output_data);
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_avgpool_s8(const cmsis_nn_context *ctx,
                                   const cmsis_nn_pool_params *pool_params,
                                   const cmsis_nn_dims *input_dims, const int8_t *input_data,
                                   const cmsis_nn_dims *filter_dims,
                                   const cmsis_nn_dims *output_dims, int8_t *output_data)
{
    spoil(ctx, 4 * input_dims->c);
    pool(1, pool_params, input_dims, input_data, filter_dims, output_dims, output_data);
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_elementwise_add_s8(
    const int8_t *input_1_vect, const int8_t *input_2_vect, const int32_t input_1_offset,
    const int32_t input_1_mult, const int32_t input_1_shift, const int32_t input_2_offset,
    const int32_t input_2_mult, const int32_t input_2_shift, const int32_t left_shift,
    int8_t *output, const int32_t out_offset, const int32_t out_mult, const int32_t out_shift,
    const int32_t out_activation_min, const int32_t out_activation_max, const int32_t block_size)
{
    const cmsis_nn_activation range = {out_activation_min, out_activation_max};
    const int32_t one = 1 << left_shift;
    for (int32_t i = 0; i < block_size; i++) {
        const int32_t a =
            scale((input_1_vect[i] + input_1_offset) * one, input_1_mult, input_1_shift);
        const int32_t b =
            scale((input_2_vect[i] + input_2_offset) * one, input_2_mult, input_2_shift);
        output[i] = clip(scale(a + b, out_mult, out_shift) + out_offset, &range);
    }
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status
arm_elementwise_mul_s8(const int8_t *input_1_vect, const int8_t *input_2_vect,
                       const int32_t input_1_offset, const int32_t input_2_offset, int8_t *output,
                       const int32_t out_offset, const int32_t out_mult, const int32_t out_shift,
                       const int32_t out_activation_min, const int32_t out_activation_max,
                       const int32_t block_size)
{
    const cmsis_nn_activation range = {out_activation_min, out_activation_max};
    for (int32_t i = 0; i < block_size; i++) {
        const int32_t a = input_1_vect[i] + input_1_offset;
        const int32_t b = input_2_vect[i] + input_2_offset;
        output[i] = clip(scale(a * b, out_mult, out_shift) + out_offset, &range);
    }
    return ARM_CMSIS_NN_SUCCESS;
}

/* Fixed point of the softmax: product of two Q0.31, and a division with halves away from 0. */
static int32_t high(int32_t a, int32_t b)
{
    const int64_t product = ((int64_t)a * b + ((int64_t)1 << 30)) >> 31;
    return product > INT32_MAX ? INT32_MAX : (int32_t)product;
}

static int32_t halve(int32_t value, int32_t times)
{
    const int64_t half = (((int64_t)1 << times) >> 1) - (times > 0 && value < 0 ? 1 : 0);
    return (int32_t)((value + half) >> times);
}

/* e^(value / 2^26) in Q0.31 of a value that is not positive: a series, then a factor per bit. */
static int32_t exponential(int32_t value)
{
    static const int32_t factors[] = {1672461947, 1302514674, 790015084, 290630308,
                                      39332535,   720401,     242};
    if (value == 0) {
        return INT32_MAX;
    }
    const int32_t part = (value & ((1 << 24) - 1)) - (1 << 24);
    const int32_t x = part * 32 + (1 << 28);
    const int32_t square = high(x, x);
    const int32_t sum = halve(high(square, square), 2) + high(square, x);
    int32_t result = 1895147668 + high(x + halve(high(sum, 715827883) + square, 1), 1895147668);
    for (int32_t bit = 0; bit < 7; bit++) {
        if ((((part - value) >> (24 + bit)) & 1) != 0) {
            result = high(result, factors[bit]);
        }
    }
    return result;
}

/* 1 / (1 + value) in Q0.31 by three steps of Newton's method. */
static int32_t invert(int32_t value)
{
    const int32_t half = (int32_t)(((int64_t)value + INT32_MAX + 1) >> 1);
    int32_t x = 1515870810 + high(half, -1010580540);
    for (int32_t step = 0; step < 3; step++) {
        x += high(x, (1 << 29) - high(half, x)) * 4;
    }
    return x > INT32_MAX / 2 ? INT32_MAX : x * 2;
}

void arm_softmax_s8(const int8_t *input, const int32_t num_rows, const int32_t row_size,
                    const int32_t mult, const int32_t shift, const int32_t diff_min, int8_t *output)
{
    for (int32_t row = 0; row < num_rows; row++, input += row_size, output += row_size) {
        int32_t largest = input[0];
        for (int32_t k = 1; k < row_size; k++) {
            largest = input[k] > largest ? input[k] : largest;
        }
        int32_t sum = 0;
        for (int32_t k = 0; k < row_size; k++) {
            const int32_t difference = input[k] - largest;
            if (difference >= diff_min) {
                sum += halve(exponential(high(difference * (1 << shift), mult)), 12);
            }
        }
        int32_t zeros = 0;
        while (((uint32_t)sum << zeros) < 0x80000000u) {
            zeros++;
        }
        const int32_t share = invert((int32_t)(((uint32_t)sum << zeros) - 0x80000000u));
        for (int32_t k = 0; k < row_size; k++) {
            const int32_t difference = input[k] - largest;
            int32_t code = -128;
            if (difference >= diff_min) {
                const int32_t power = exponential(high(difference * (1 << shift), mult));
                code += halve(high(share, power), 35 - zeros);
            }
            output[k] = (int8_t)(code > 127 ? 127 : code);
        }
    }
}
