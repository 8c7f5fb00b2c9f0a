"""Augmentations: each maps a batch to a batch, on the device, with an independent draw for each sample."""

from skelray.augment.basic import BA, Crop, Shear
from skelray.augment.batch import view_of
from skelray.augment.counters import CannotCapture, Clock, CounterDraws
from skelray.augment.draws import Draws
from skelray.augment.extreme import EA, TimeFlip
from skelray.augment.hico import HICO, CentreCrop, CropResize, JointCorruption, OneOf
from skelray.augment.normal import NA, AxisMask, Blur, Flip, Noise, Rotate
from skelray.augment.orders import orders
from skelray.augment.streams import STREAMS, encoder_input, to_stream
from skelray.augment.strong import DAE, AdaIN, DropAddEdges, Mask, RandomMask, SkeleAdaIN
from skelray.augment.view import IDENTITY, Arrangement, Augmentation, AugmentationSet, Rewire, View, grow

__all__ = [
    "BA",
    "DAE",
    "EA",
    "HICO",
    "IDENTITY",
    "NA",
    "STREAMS",
    "AdaIN",
    "Arrangement",
    "Augmentation",
    "AugmentationSet",
    "AxisMask",
    "Blur",
    "CannotCapture",
    "CentreCrop",
    "Clock",
    "CounterDraws",
    "Crop",
    "CropResize",
    "Draws",
    "DropAddEdges",
    "Flip",
    "JointCorruption",
    "Mask",
    "Noise",
    "OneOf",
    "RandomMask",
    "Rewire",
    "Rotate",
    "Shear",
    "SkeleAdaIN",
    "TimeFlip",
    "View",
    "encoder_input",
    "grow",
    "orders",
    "to_stream",
    "view_of",
]
