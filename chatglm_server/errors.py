"""The errors that users hear of.

Each class has an HTTP status and a code of its own for programs. A dialect (``api/``) says it in its client's words:
the body, the fields' names, and the status too if its API has another.
"""

from __future__ import annotations

INTERNAL_ERROR = "internal error; the server's log says more"


class ChatGLMServerError(Exception):
    """Root of the project's errors; `message` names the fault and the remedy.

    `param` is the part of the request that is wrong: below ``api/`` a noun of chat.py ("sampling.seed",
    "messages[3].content"), in a dialect the client's field. `retry_after` is in seconds.
    """

    status = 500
    code: str | None = None
    retry_after: int | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    def __reduce__(self) -> tuple[object, ...]:
        """For other processes: Python would call the class with the message alone, which is not enough for all."""
        return _restored, (type(self), self.message, self.__dict__)


def _restored(kind: type[ChatGLMServerError], message: str, fields: dict[str, object]) -> ChatGLMServerError:
    error = kind.__new__(kind, message)
    error.__dict__.update(fields)
    return error


class InvalidRequest(ChatGLMServerError):
    """The request asks for something that makes no sense or is out of bounds."""

    status = 400
    code = "invalid_value"


class UnsupportedParameter(InvalidRequest):
    """A known parameter whose value this model or engine cannot honour."""

    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    """The prompt does not fit the model's context. `length` is the prompt's, or less; `limit` is the context's."""

    code = "context_length_exceeded"

    def __init__(self, message: str, *, length: int, limit: int, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.length = length
        self.limit = limit


class AuthenticationError(ChatGLMServerError):
    """No API key, or a wrong one."""

    status = 401
    code = "invalid_api_key"


class PermissionDenied(ChatGLMServerError):
    """The request came under a name this server does not answer to."""

    status = 403
    code = "host_not_allowed"


class OriginNotAllowed(PermissionDenied):
    """The request comes from a web page that may not call this server."""

    code = "origin_not_allowed"


class NotFound(ChatGLMServerError):
    """No such path."""

    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    """No such model."""

    code = "model_not_found"


class MethodNotAllowed(ChatGLMServerError):
    """The path exists, under another method."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(ChatGLMServerError):
    """The client took too long to send its request."""

    status = 408
    code = "request_timeout"


class RequestTooLarge(ChatGLMServerError):
    """The body is larger than the server reads."""

    status = 413
    code = "request_too_large"


class UnsupportedMediaType(ChatGLMServerError):
    """The body is not declared as JSON."""

    status = 415
    code = "unsupported_media_type"


class QueueFull(ChatGLMServerError):
    """As many requests wait as the queue holds."""

    status = 429
    code = "queue_full"
    retry_after = 5


class WaitTooLong(ChatGLMServerError):
    """The answer's first token would come later than the request is willing to wait.

    `retry_after`: seconds after which it would come in time; None if it never would.
    """

    status = 429
    code = "wait_too_long"

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyConnections(ChatGLMServerError):
    """As many connections are open as the server keeps."""

    status = 503
    code = "too_many_connections"
    retry_after = 5


class NotSupported(ChatGLMServerError):
    """This server, as it was started, cannot do that; the message names the option that would change it."""

    status = 501
    code = "not_supported"


class NotReady(ChatGLMServerError):
    """The model is still being loaded."""

    status = 503
    code = "model_loading"
    retry_after = 2


class ShuttingDown(ChatGLMServerError):
    """The server stops; the answer was not finished."""

    status = 503
    code = "server_shutting_down"
    retry_after = 5


class ModelFailure(ChatGLMServerError):
    """The model could not compute a token."""

    code = "model_failure"


class ReplicaLost(ChatGLMServerError):
    """The process that wrote the answer has ended, and the answer with it."""

    status = 503
    code = "replica_lost"
    retry_after = 1


class UpstreamUnreachable(ChatGLMServerError):
    """The server that the request should go on to cannot be connected to."""

    status = 502
    code = "upstream_unreachable"


class UpstreamFailure(ChatGLMServerError):
    """The server that the request went on to broke off, or sent what makes no sense."""

    status = 502
    code = "upstream_failure"


class UpstreamTimeout(ChatGLMServerError):
    """The server that the request went on to was silent for too long."""

    status = 504
    code = "upstream_timeout"


class UpstreamError(ChatGLMServerError):
    """The server that the request went on to refused it: in its words, and with its status.

    `type`, `param` and `code` are that server's own, as in OpenAI's error object.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str | None = None,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.type = type
        self.code = code
        self.retry_after = retry_after


class BadOption(ChatGLMServerError):
    """An option has a value that this installation does not know."""

    code = "bad_option"


class ModelFileError(ChatGLMServerError):
    """The model file is missing, broken, or of a kind that cannot be served."""

    code = "model_file_error"
