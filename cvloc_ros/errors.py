# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Set-up errors. Situations expected at run time are statuses of a `LocalizationResult`, never exceptions."""


class CvlocError(Exception):
    """Base of all errors that stop set-up; the text holds the value, the limit and the remedy."""


class ConfigError(CvlocError):
    """A configuration key is unknown, out of range or contradicts another."""


class GeoError(CvlocError):
    """A coordinate, datum or CRS cannot be used."""


class TransformError(CvlocError):
    """A transform between two frames is unknown at the stamp that was asked for."""


class TileSourceError(CvlocError):
    """A map source cannot be opened or may not be used as asked."""


class ImageError(CvlocError):
    """An image or its calibration cannot be decoded as it claims to be."""


class ModelError(CvlocError):
    """A matcher, its weights or its device is not available."""


class BagError(CvlocError):
    """A bag cannot be read or lacks what is needed."""
