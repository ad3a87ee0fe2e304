"""The one error of this package."""


class ExpressionError(ValueError):
    """The caller's expression, its placeholders or a legacy parameter is refused; the message is the service's own."""
