"""The one exception of this library, and what its fields promise.

Everything that goes wrong between a device and Azure is an `AzureIoTError`. What a person should do about it stands in
`azureiot.hints`, a module that a small board may leave out.
"""

from azureiot.runtime import once


class AzureIoTError(Exception):
    """Something failed between this device and Azure.

    message: one sentence, what happened.
    code: the number that the service gave (401002, or a CONNACK return code as "connack-5"), or a short name for what
        happened on the way ("tls-untrusted", "timeout"). Stable: programs may compare it.
    retryable: whether the same attempt can succeed later without anybody's help.
    tracking_id: the service's own id for the request, "" where there is none. Microsoft's support asks for it.
    cause: the code of what lies behind it, which the hint is about: that of the last failure, where a deadline passed.
    """

    def __init__(
        self,
        message: str,
        code: "int | str" = "",
        retryable: bool = False,
        tracking_id: str = "",
        cause: "int | str" = "",
    ):
        super().__init__(message)
        self.message = message
        self.code = code
        self.retryable = retryable
        self.tracking_id = tracking_id
        self.cause = cause or code

    @property
    def hint(self) -> str:
        """What to do next, one sentence, or "" (also when azureiot.hints is not on the board)."""
        try:
            return once("azureiot.hints").hint(self.cause)
        except (ImportError, MemoryError):
            return ""

    def __str__(self) -> str:
        text = self.message
        if self.code != "":
            text += " [%s]" % self.code
        if self.tracking_id:
            text += " (tracking id %s)" % self.tracking_id
        hint = self.hint
        return text + " " + hint if hint else text
