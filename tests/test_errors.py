"""Error codes and close codes that clients rely on."""

from __future__ import annotations

import pytest

from chat.errors import (
    ChatError,
    CloseCode,
    CommandError,
    Disconnect,
    ErrorCode,
    FrameError,
    StartupError,
    StoreUnavailable,
)


def test_only_temporary_errors_are_retryable() -> None:
    retryable = {code for code in ErrorCode if code.retryable}
    assert retryable == {ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE}


@pytest.mark.parametrize("code", CloseCode)
def test_number_of_a_close_code_says_whether_to_reconnect(code: CloseCode) -> None:
    assert code.may_return == (not 4500 <= code <= 4999)
    assert CloseCode.tells_to_return(code) == code.may_return


@pytest.mark.parametrize(("code", "returns"), [(None, True), (1006, True), (4321, True)])
def test_unknown_or_missing_close_code_counts_as_a_lost_connection(
    code: int | None, returns: bool
) -> None:
    assert CloseCode.tells_to_return(code) is returns


def test_client_does_not_reconnect_after_an_unknown_code_above_4500() -> None:
    assert not CloseCode.tells_to_return(4999)


def test_every_close_code_may_be_sent_or_is_reported_by_websocket() -> None:
    for code in CloseCode:
        assert code < 1004 or 1007 <= code <= 1014 or 4000 <= code <= 4999


def test_command_error_keeps_the_fields_of_the_error_frame() -> None:
    error = CommandError(ErrorCode.RATE_LIMITED, "wait", retry_after=1.5, field="text")
    assert (error.code, error.message, error.retry_after, error.field, str(error)) == (
        ErrorCode.RATE_LIMITED,
        "wait",
        1.5,
        "text",
        "wait",
    )


def test_frame_error_is_a_command_error_with_the_command_id() -> None:
    error = FrameError(ErrorCode.INVALID, "no", field="seq", id="7")
    assert isinstance(error, CommandError)
    assert (error.id, error.field, error.retry_after) == ("7", "seq", None)


def test_a_disconnect_keeps_code_and_reason() -> None:
    error = Disconnect(CloseCode.SLOW_READER, "too slow")
    assert (error.code, error.reason) == (4008, "too slow")


@pytest.mark.parametrize("kind", [CommandError, Disconnect, StartupError, StoreUnavailable])
def test_all_errors_share_one_base_class(kind: type[Exception]) -> None:
    assert issubclass(kind, ChatError)
