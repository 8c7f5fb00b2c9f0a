"""Augmentations: each maps a batch to a batch, on the device, one independent draw for each sample."""

from skelray.augment.basic import BA, Crop, Shear
from skelray.augment.normal import NA, AxisMask, Blur, Flip, Noise, Rotate
from skelray.augment.streams import STREAMS, form, to_stream
from skelray.augment.strong import Mask, RandomMask
from skelray.augment.view import Arrangement, Augmentation, AugmentationSet, Draws, Rewire, View, grow

__all__ = [
    "BA",
    "NA",
    "STREAMS",
    "Arrangement",
    "Augmentation",
    "AugmentationSet",
    "AxisMask",
    "Blur",
    "Crop",
    "Draws",
    "Flip",
    "Mask",
    "Noise",
    "RandomMask",
    "Rewire",
    "Rotate",
    "Shear",
    "View",
    "form",
    "grow",
    "to_stream",
]
