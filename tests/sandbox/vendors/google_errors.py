"""How Google refuses: the body of an error, its reasons, and which of its APIs says what in it."""

from core.vendor import Answer, Refusal

# The reasons used here: status, the gRPC name of it, and what is said when the caller says nothing.
REASONS = {
    "badRequest": (400, "INVALID_ARGUMENT", "Bad Request"),
    "parseError": (400, "INVALID_ARGUMENT", "Parse Error"),
    "required": (400, "INVALID_ARGUMENT", "Required parameter missing"),
    "invalid": (400, "INVALID_ARGUMENT", "Invalid Input"),
    "invalidArgument": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "failedPrecondition": (400, "FAILED_PRECONDITION", "Precondition check failed."),
    "authError": (401, "UNAUTHENTICATED", "Invalid Credentials"),
    "forbidden": (403, "PERMISSION_DENIED", "Not Authorized to access this resource/api"),
    "insufficientPermissions": (403, "PERMISSION_DENIED", "Insufficient Permission"),
    "accessNotConfigured": (403, "PERMISSION_DENIED", "The API is not enabled for the project"),
    "userRateLimitExceeded": (403, "RESOURCE_EXHAUSTED", "User Rate Limit Exceeded"),
    "quotaExceeded": (403, "RESOURCE_EXHAUSTED", "Quota exceeded"),
    "notFound": (404, "NOT_FOUND", "Requested entity was not found."),
    "duplicate": (409, "ALREADY_EXISTS", "Entity already exists."),
    "alreadyExists": (409, "ALREADY_EXISTS", "Requested entity already exists"),
    "conflict": (409, "ABORTED", "Conflict"),
    "conditionNotMet": (412, "FAILED_PRECONDITION", "Precondition is not met."),
    "insufficientArchivedUserLicenses": (412, "FAILED_PRECONDITION", "Insufficient Archived User licenses"),
    "rateLimitExceeded": (429, "RESOURCE_EXHAUSTED", "Rate Limit Exceeded"),
    "internalError": (500, "INTERNAL", "Internal error encountered."),
    "backendError": (503, "UNAVAILABLE", "The service is currently unavailable."),
}
USAGE_LIMITS = {"userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded", "accessNotConfigured"}
# The reason a bare status stands for.
DEFAULT_REASONS = {400: "badRequest", 401: "authError", 403: "forbidden", 404: "notFound", 409: "conflict",
                   412: "conditionNotMet", 429: "rateLimitExceeded", 500: "internalError", 503: "backendError"}
# What an API's errors carry: the older ones a list with reasons, the newer ones a status, Gmail both.
LIST, STATUS, BOTH = "list", "status", "both"


def error_body(reason: str, message: str = "", *, status: int | None = None, shape: str = BOTH,
               details: list | None = None) -> dict:
    """The body of an error with this reason; `status` where the reason comes with another one as well."""
    usual, name, text = REASONS[reason]
    entry = {"message": message or text, "domain": "usageLimits" if reason in USAGE_LIMITS else "global",
             "reason": reason}
    error: dict = {"code": status or usual, "message": message or text}
    if shape in (LIST, BOTH):
        error["errors"] = [entry]
    if shape in (STATUS, BOTH):
        error["status"] = name
    if details:
        error["details"] = details
    return {"error": error}


def refusal(reason: str, message: str = "", *, shape: str, status: int | None = None) -> Refusal:
    """To raise from a handler."""
    return Refusal(Answer(status or REASONS[reason][0], error_body(reason, message, status=status, shape=shape)))


def fault_rule(reason: str, **rule) -> dict:
    """A fault rule for an error with this reason; `rule`: its other members (match, times, skip, headers...)."""
    return {"do": "status", "status": REASONS[reason][0], "body": error_body(reason), **rule}
