"""Names that a Keras file may use: Keras' and tfmot's own classes, none of which holds a program.

What is missing is missing on purpose: ``Lambda``, ``TFSMLayer``, ``JaxLayer``, ``FlaxLayer``,
``TorchModuleWrapper``, ``TextVectorization``, ``StringLookup``, ``IntegerLookup`` (files), ``Map``,
``Scan``, ``Cond``, ``WhileLoop``, ``VectorizedMap`` (functions), ``ClassMethod``.
Whether tinyq can convert a layer is another question, asked once the model is loaded.
"""

from __future__ import annotations


def _split(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODELS = _split("Functional Model Sequential")

LAYERS = _split(
    """
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
    AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D
    AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization
    BatchNormalizationV1 Bidirectional CategoryEncoding CenterCrop Concatenate Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
    Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D
    Convolution3DTranspose Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D
    DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Equalization Flatten GRU
    GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D
    GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GroupNormalization GroupQueryAttention Identity InputLayer LSTM LSTMCell LayerNormalization
    LeakyReLU LocallyConnected1D LocallyConnected2D Masking MaxPool1D MaxPool2D MaxPool3D
    MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp MultiHeadAttention
    Multiply Normalization PReLU Permute Pipeline RMSNormalization RNN RandAugment RandomBrightness
    RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
    RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
    RandomShear RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape
    Resizing STFTSpectrogram SeparableConv1D SeparableConv2D SeparableConvolution1D
    SeparableConvolution2D SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D
    SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells Subtract
    ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D
    ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)

OPERATIONS = _split(
    """
    Abs Absolute Add Amax Amin Argmax Argmin Average AveragePool AdaptiveAveragePool AdaptiveMaxPool
    BatchNorm BroadcastTo Cast Ceil Celu Clip Concatenate Conv ConvTranspose Copy Cos DepthwiseConv
    DepthToSpace Divide DivideNoNan Dot Dstack Einsum Elu Equal Exp ExpandDims Expm1 Flip Floor
    FloorDivide Gelu GetItem Glu Greater GreaterEqual HardShrink HardSigmoid HardSilu HardTanh
    Hstack Identity L2Normalize LayerNorm LeakyRelu Less LessEqual Log Log1p LogSigmoid LogSoftmax
    LogicalAnd LogicalNot LogicalOr Matmul Max MaxPool Maximum Mean Min Minimum Moveaxis Multiply
    Negative Normalize NotEqual OneHot OnesLike Pad Power Prod RMSNorm Ravel Reciprocal Relu Relu6
    Repeat Reshape Roll Round Rsqrt Selu SeparableConv Sigmoid Sign Silu Sin Slice SoftShrink
    Softmax Softplus Softsign SpaceToDepth Split Sqrt Square Squareplus Squeeze Stack StopGradient
    Subtract Sum Swapaxes Take Tanh TanhShrink Threshold Tile Transpose TrueDivide Unstack Var
    Vstack Where ZerosLike
    """
)

INITIALIZERS = _split(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal
    LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT
    STFTInitializer TruncatedNormal VarianceScaling Zeros
    constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform
    normal one ones orthogonal random_normal random_uniform stft truncated_normal uniform
    variance_scaling zero zeros
    """
)

REGULARIZERS = _split("L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l1l2 l2 orthogonal_regularizer")

CONSTRAINTS = _split(
    "MaxNorm MinMaxNorm NonNeg UnitNorm max_norm maxnorm min_max_norm non_neg nonneg unit_norm "
    "unitnorm weight_clip"
)

ACTIVATIONS = _split(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
    linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
    softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
    """
)

POLICIES = _split(
    "DTypePolicy DTypePolicyMap FloatDTypePolicy Policy QuantizedDTypePolicy "
    "QuantizedFloat8DTypePolicy"
)

QUANTIZATION = _split("AbsMaxQuantizer Int4QuantizationConfig Int8QuantizationConfig Quantizer")

TRAINING = _split(
    """
    Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lion Nadam RMSprop SGD LossScaleOptimizer
    AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryFocalCrossentropy CategoricalAccuracy
    CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalHinge CosineSimilarity
    FalseNegatives FalsePositives Hinge Huber KLDivergence LogCosh LogCoshError LossesContainer
    Mean MeanAbsoluteError MeanAbsolutePercentageError MeanMetricWrapper MeanSquaredError
    MeanSquaredLogarithmicError MetricsContainer Poisson Precision Recall RootMeanSquaredError
    SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy
    SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives TruePositives
    """
)

TFMOT = _split(
    """
    AllValuesQuantizer ClusterWeights ConstantSparsity Default8BitActivationQuantizeConfig
    Default8BitConvQuantizeConfig Default8BitConvTransposeQuantizeConfig
    Default8BitConvTransposeWeightsQuantizer Default8BitConvWeightsQuantizer
    Default8BitOutputQuantizeConfig Default8BitQuantizeConfig Default8BitQuantizeConfigRNN
    DefaultNBitActivationQuantizeConfig DefaultNBitConvQuantizeConfig
    DefaultNBitConvTransposeQuantizeConfig DefaultNBitConvTransposeWeightsQuantizer
    DefaultNBitConvWeightsQuantizer DefaultNBitOutputQuantizeConfig DefaultNBitQuantizeConfig
    DefaultNBitQuantizeConfigRNN FixedQuantizeConfig FixedQuantizer LastValueQuantizer
    MovingAverageQuantizer NoOpActivation NoOpQuantizeConfig NoQuantizer OutputOnlyConfig
    PolynomialDecay PruneLowMagnitude QuantizeAnnotate QuantizeAwareActivation QuantizeLayer
    QuantizeWrapper QuantizeWrapperV2
    """
)

# Layers and quantizers of Larq, which stand-ins read.
LARQ = _split(
    """
    QuantConv1D QuantConv2D QuantDense QuantDepthwiseConv2D QuantSeparableConv1D
    QuantSeparableConv2D ApproxSign DoReFa DoReFaQuantizer MagnitudeAwareSign NoOp SteSign SteTern
    SwishSign WeightClip weight_clip
    """
)

# What stands for a value of Python in JSON.
VALUES = _split(
    "InputSpec TensorShape TypeSpec __bytes__ __ellipsis__ __keras_tensor__ __numpy__ __slice__ "
    "__tensor__ __tuple__"
)

CLASSES = (
    MODELS
    | LAYERS
    | OPERATIONS
    | INITIALIZERS
    | REGULARIZERS
    | CONSTRAINTS
    | POLICIES
    | QUANTIZATION
    | TRAINING
    | TFMOT
    | LARQ
    | VALUES
)

# Functions of TensorFlow that old files call by name, as layers.
TENSORFLOW_FUNCTIONS = _split(
    """
    __operators__.add __operators__.getitem __operators__.mul __operators__.sub
    __operators__.truediv math.abs math.negative math.truediv nn.softplus
    clip_by_value compat.v1.nn.avg_pool
    compat.v1.nn.max_pool compat.v1.nn.softmax compat.v1.transpose concat expand_dims identity
    math.add math.divide math.maximum math.minimum math.multiply math.reduce_max math.reduce_mean
    math.reduce_sum math.sigmoid math.square math.sqrt math.subtract math.tanh
    compat.v1.math.softmax nn.elu nn.leaky_relu nn.relu nn.relu6 nn.selu nn.silu nn.softmax
    nn.swish pad reshape sigmoid slice squeeze tanh transpose
    cast compat.v1.depth_to_space compat.v1.space_to_depth image.resize linalg.matmul math.exp
    math.l2_normalize math.softplus nn.bias_add nn.depth_to_space nn.gelu nn.space_to_depth split
    stack stop_gradient tile unstack
    """
)

# Attributes of layers that tfmot's settings may name.
QUANTIZED_ATTRIBUTES = _split(
    """
    activation bias depthwise_kernel kernel pointwise_kernel recurrent_activation recurrent_kernel
    """
)

PREFIXES = (
    "keras",
    "tf_keras",
    "tensorflow.keras",
    "tensorflow.python.keras",
    "tensorflow_model_optimization.python.core",
    "tinyq",
)
