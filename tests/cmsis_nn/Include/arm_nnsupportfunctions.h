/* The double keeps all in one header. */
#include "arm_nnfunctions.h"
