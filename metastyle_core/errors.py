"""Every error this package raises on purpose.

A message says what arrived, what is needed and what to do about it, in one
line, so that the command line and the host can show it as it is.
"""


class MetaStyleError(Exception):
    """Base of all errors that a user can cause and mend."""


class ShapeError(MetaStyleError, ValueError):
    """A tensor has the wrong number of dimensions, channels or pixels."""


class SettingsError(MetaStyleError, ValueError):
    """A setting is outside its legal range."""


class ImageFileError(MetaStyleError):
    """An image file is missing, unreadable, unsupported or cannot be written."""


class PartlyDoneError(MetaStyleError):
    """Work is done, but for some of its inputs; the message lists them, a line each."""


class FilmError(MetaStyleError):
    """A film is missing, unreadable, unsupported or cannot be written."""


class CheckpointError(MetaStyleError):
    """A weights or style file is missing, damaged or of another kind."""


class BaseMismatchError(CheckpointError):
    """A style belongs to another base network."""


class EncoderWeightsError(CheckpointError):
    """The weights of a perceptual encoder are not where they are needed."""


class AdaptationDiverged(MetaStyleError, ArithmeticError):  # noqa: N818 - names the event
    """Adaptation produced NaN, infinity or an exploding loss, twice."""


class ResultError(MetaStyleError, ArithmeticError):
    """A stylized picture holds NaN or infinity."""


class TrainingError(MetaStyleError):
    """Training cannot start or go on."""
