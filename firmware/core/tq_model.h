/* The model as the firmware sees it. The generated tq_model_instance.c defines the one instance. */
#ifndef TQ_MODEL_H
#define TQ_MODEL_H

#include <stdint.h>

/* An input or an output of a model that has several. */
typedef struct {
    const char *name; /* ASCII, ends with a zero byte */
    int32_t bytes;    /* packed bytes */
} tq_model_port;

typedef struct {
    const char *name;                             /* UTF-8, ends with a zero byte */
    uint8_t digest[32];                           /* SHA-256 of the integer graph */
    int32_t input_bytes;                          /* packed bytes of the inputs of a sample */
    int32_t output_bytes;                         /* packed bytes of its outputs */
    int32_t arena_bytes;                          /* bytes of all intermediate tensors together */
    int32_t layers;                               /* run calls TQ_MARK(0) .. TQ_MARK(layers) */
    void (*run)(const void *input, void *output); /* both pointers 4-byte aligned */
    int32_t inputs;                               /* how many, 0 where there is one of each */
    int32_t outputs;
    const tq_model_port *ports; /* [inputs + outputs], each from the next multiple of 4 on */
    int32_t state_bytes;        /* bytes that run keeps from one step of a sequence to the next */
    void (*reset)(void);        /* begins a sequence; 0 where nothing is kept */
} tq_model;

extern const tq_model tq_model_instance;

#endif
