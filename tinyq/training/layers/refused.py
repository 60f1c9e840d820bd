"""What helps where a layer has no integer form here."""

from __future__ import annotations

from tinyq.training.registry import refuses

refuses(
    *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
    remedy="use a convolution of each step (TimeDistributed) and an LSTM or GRU behind it",
)
refuses(
    *("Masking",),
    remedy="steps that are masked have no integer form: give sequences of one length",
)
refuses(
    *("AdditiveAttention", "GroupQueryAttention"),
    remedy="use MultiHeadAttention, or Attention with score_mode='dot'",
)
refuses(
    *("Lambda",),
    remedy="a Lambda is a program, whose meaning is not in the model: use layers of Keras",
)
refuses(
    *("Conv3D", "Conv3DTranspose", "MaxPooling3D", "AveragePooling3D", "ZeroPadding3D"),
    remedy="images of three dimensions are not supported: use Conv2D on slices",
)
refuses(
    *("MelSpectrogram", "STFTSpectrogram", "Discretization", "CategoryEncoding", "StringLookup"),
    *("IntegerLookup", "Hashing", "HashedCrossing", "TextVectorization"),
    remedy="do this step before the model, in the data (with tf.data or NumPy)",
)
refuses(
    *("RandomShear", "RandomCrop", "RandAugment", "AugMix", "MixUp", "CutMix"),
    remedy="do this step in the data, with tf.data",
)
